/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Networks that measure images, with weights that the user brings: Inception's features ({@link
 * io.github.flinkdiffusion.ops.evaluation.InceptionFeatures}) or EfficientNet's ({@link
 * io.github.flinkdiffusion.ops.evaluation.EfficientNetFeatures}), perceptual distances ({@link
 * io.github.flinkdiffusion.ops.evaluation.PerceptualDistance}) and CLIP's embeddings ({@link
 * io.github.flinkdiffusion.ops.evaluation.ClipEmbeddings}). What they give goes to the functions of
 * the room {@code quality}.
 *
 * <pre>{@code
 * try (InceptionFeatures inception = InceptionFeatures.open(weights, DeviceSpec.CPU)) {
 *   double fid = FeatureDistance.frechet(inception.see(real).features(), inception.see(made).features());
 * }
 * }</pre>
 */
package io.github.flinkdiffusion.ops.evaluation;
