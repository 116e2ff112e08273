/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import io.github.flinkdiffusion.ops.image.Raster;

/**
 * An image that a model made of a prompt.
 *
 * @param seed of its noise
 * @param image three colors, values 0..1
 */
record Drawn(String prompt, long seed, Raster image) {}
