/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * What was found in a picture.
 *
 * @param crs coordinate reference system of the geometries, such as {@code EPSG:32633}; empty when
 *     they are in pixels of the picture, x to the right, y down, from the outer corner of the first
 *     one
 * @param items largest first
 */
@Internal
public record Regions(Optional<String> crs, List<Region> items) {
  public Regions {
    Objects.requireNonNull(crs, "crs");
    items = List.copyOf(items);
  }
}
