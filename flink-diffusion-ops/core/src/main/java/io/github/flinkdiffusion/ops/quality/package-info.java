/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * How good results are, as plain functions of pictures, masks and numbers: fidelity ({@link
 * io.github.flinkdiffusion.ops.quality.Fidelity}), masks' overlap ({@link
 * io.github.flinkdiffusion.ops.quality.Overlap}), rank correlation ({@link
 * io.github.flinkdiffusion.ops.quality.RankCorrelation}), distances between sets of features
 * ({@link io.github.flinkdiffusion.ops.quality.FeatureDistance}; of sets that come and go, {@link
 * io.github.flinkdiffusion.ops.quality.FeatureMoments} and {@link
 * io.github.flinkdiffusion.ops.quality.FeatureSample} are kept) and visible seams ({@link
 * io.github.flinkdiffusion.ops.quality.Seams}). Of features and votes there are {@link
 * io.github.flinkdiffusion.ops.quality.InceptionScore}, {@link
 * io.github.flinkdiffusion.ops.quality.Manifold} (precision, recall, density, coverage), {@link
 * io.github.flinkdiffusion.ops.quality.TextAgreement}, {@link
 * io.github.flinkdiffusion.ops.quality.Diversity}, {@link
 * io.github.flinkdiffusion.ops.quality.RaterAgreement} and {@link
 * io.github.flinkdiffusion.ops.quality.BradleyTerry}. {@link
 * io.github.flinkdiffusion.ops.quality.ImageSetMeasures} has those of sets with intervals. The
 * definitions are the published ones; each is compared with its reference implementation or NumPy
 * in a test. Nothing here knows a model, and one exception, {@link
 * io.github.flinkdiffusion.ops.quality.QualityException}, says what cannot be compared.
 *
 * <pre>{@code
 * double psnr = Fidelity.psnr(enlarged, truth);
 * double dice = Overlap.dice(mask, expected);
 * double seam = Seams.excess(enlarged, columnsWhereTilesMeet, rowsWhereTilesMeet);
 * }</pre>
 */
package io.github.flinkdiffusion.ops.quality;
