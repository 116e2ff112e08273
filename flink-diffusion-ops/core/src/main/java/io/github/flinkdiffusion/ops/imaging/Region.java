/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * One connected area of one class, or one detected object.
 *
 * @param label name of the class
 * @param score how sure it is, 0..1; null when nothing tells
 * @param areaPixels pixels of the picture that it covers
 * @param area in the unit; null where the size of pixels is not known
 * @param areaUnit {@code m2} or {@code mm2}; null without an area
 * @param box smallest rectangle around it, in pixels of the picture
 * @param geometry outline as a GeoJSON geometry in the coordinates that {@link Regions#crs} names;
 *     null without one
 */
@Internal
public record Region(
    String label,
    Double score,
    long areaPixels,
    Double area,
    String areaUnit,
    Box box,
    String geometry) {
  public Region {
    Objects.requireNonNull(label, "label");
    Objects.requireNonNull(box, "box");
    if ((area == null) != (areaUnit == null)) {
      throw new IllegalArgumentException("An area of %s %s".formatted(area, areaUnit));
    }
  }
}
