/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import org.apache.flink.annotation.Experimental;
import org.jspecify.annotations.NullMarked;

/** By which clock a series is waited for, see {@link SeriesOptions#TIME}. */
@NullMarked
@Experimental
public enum SeriesTime {
  /** The task manager's clock. */
  PROCESSING,
  /** The records' timestamps, and watermarks. */
  EVENT
}
