/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * The second embedded text-to-image model: icons of several emoji sets, placed on plain backgrounds
 * at 96 x 96 pixels. It holds the pictures that the model learns from, its three trainings
 * (autoencoder, denoiser, decoder), and the evaluation of what it draws.
 *
 * <pre>{@code
 * IconSet noto = IconSet.open(Path.of("iconify-json-noto/package/icons.json"));
 * BufferedImage apple = noto.draw("red-apple", 96);
 * }</pre>
 *
 * <p>These are internals of the examples, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.examples.scenes;
