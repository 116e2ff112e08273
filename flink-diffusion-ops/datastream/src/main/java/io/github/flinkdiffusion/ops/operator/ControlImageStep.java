/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.image.CannyEdges;
import io.github.flinkdiffusion.ops.image.ClassColors;
import io.github.flinkdiffusion.ops.image.FilledSize;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.Serializable;

/** What is made of an image of a request. */
sealed interface ControlImageStep extends Serializable {

  /** The parameter that the image is. */
  String name();

  /**
   * @throws ImageException for an image of which that cannot be made
   */
  Raster made(Raster image);

  /** Edges by Canny. */
  record Edges(String name, double low, double high) implements ControlImageStep {
    @Override
    public Raster made(Raster image) {
      return CannyEdges.of(image, low, high);
    }
  }

  /** Another size, cut at two sides if it has another shape. */
  record Fit(String name, int width, int height) implements ControlImageStep {
    @Override
    public Raster made(Raster image) {
      return FilledSize.of(image, height, width);
    }
  }

  /** Numbers of classes in colors. */
  record Colors(String name, String colors) implements ControlImageStep {
    @Override
    public Raster made(Raster image) {
      return ClassColors.parse(colors).paint(image);
    }
  }
}
