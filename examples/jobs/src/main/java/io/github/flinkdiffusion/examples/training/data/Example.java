/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Optional;

/**
 * What a training learns from.
 *
 * @param image the image
 * @param caption what it shows; empty if that is not known
 * @param other the mask, the small image, or the control image, of a pair
 */
public record Example(Raster image, String caption, Optional<Raster> other) {}
