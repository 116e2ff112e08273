/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import org.apache.flink.annotation.Internal;

/**
 * Where a slice lies in a patient: DICOM's image position and orientation, in millimetres to the
 * patient's left, back and head.
 *
 * @param position of the first pixel's center
 * @param alongRow the direction from a pixel to the next of its row, of length 1
 * @param alongColumn the direction from a row to the next, of length 1
 */
@Internal
public record SlicePlace(Vector position, Vector alongRow, Vector alongColumn) {

  /** Millimetres, or a direction. */
  public record Vector(double x, double y, double z) {
    public Vector {
      // Adding 0 makes 0 of -0.
      x += 0.0;
      y += 0.0;
      z += 0.0;
    }

    Vector plus(Vector other, double times) {
      return new Vector(x + times * other.x, y + times * other.y, z + times * other.z);
    }

    double length() {
      return Math.sqrt(x * x + y * y + z * z);
    }
  }

  /** As after leaving out columns and rows before a pixel. */
  SlicePlace from(double x, double y, PixelSpacing spacing) {
    return new SlicePlace(
        position.plus(alongRow, x * spacing.x()).plus(alongColumn, y * spacing.y()),
        alongRow,
        alongColumn);
  }

  /** As after enlarging: corners stay, so the first pixel's center moves. */
  SlicePlace scaled(PixelSpacing before, PixelSpacing after) {
    return new SlicePlace(
        position
            .plus(alongRow, (after.x() - before.x()) / 2)
            .plus(alongColumn, (after.y() - before.y()) / 2),
        alongRow,
        alongColumn);
  }
}
