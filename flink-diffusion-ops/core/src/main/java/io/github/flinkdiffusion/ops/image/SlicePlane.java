/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import org.apache.flink.annotation.Internal;

/**
 * Which way a volume is cut into slices. Every slice is seen the same way, however its file stores
 * it: the patient's left is on the left and the front or the head is at the top, or in sagittal
 * slices the front is on the left.
 */
@Internal
public enum SlicePlane {
  /** Across the body, counted from the feet to the head. */
  AXIAL(0, 1, 2, false, true),
  /** Parallel to the chest, counted from the back to the front. */
  CORONAL(0, 2, 1, false, true),
  /** Parallel to a side, counted from the left to the right. */
  SAGITTAL(1, 2, 0, true, true);

  /** World axes (right, front, head) along a row, along a column and across slices. */
  final int columns;

  final int rows;
  final int slices;

  /** Whether what comes first in a row, or in a column, is what is furthest along the axis. */
  final boolean fromEndX;

  final boolean fromEndY;

  SlicePlane(int columns, int rows, int slices, boolean fromEndX, boolean fromEndY) {
    this.columns = columns;
    this.rows = rows;
    this.slices = slices;
    this.fromEndX = fromEndX;
    this.fromEndY = fromEndY;
  }
}
