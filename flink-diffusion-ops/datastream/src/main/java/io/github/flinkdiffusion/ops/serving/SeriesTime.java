/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

/** By which clock a series is waited for, see {@link SeriesOptions#TIME}. */
public enum SeriesTime {
  /** The task manager's clock. */
  PROCESSING,
  /** The records' timestamps, and watermarks. */
  EVENT
}
