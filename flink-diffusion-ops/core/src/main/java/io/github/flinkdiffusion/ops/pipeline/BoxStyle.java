/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Rgb;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * How a model draws the boxes of what it has detected.
 *
 * @param colors of the boxes' lines, at least one
 * @param labels what is in a box of each color
 */
@Internal
public record BoxStyle(List<Rgb> colors, List<String> labels) {
  public BoxStyle {
    colors = List.copyOf(colors);
    labels = List.copyOf(labels);
    if (colors.isEmpty() || colors.size() != labels.size()) {
      throw new IllegalArgumentException(
          "Boxes of %d colors and %d labels; as many of both, at least one"
              .formatted(colors.size(), labels.size()));
    }
  }
}
