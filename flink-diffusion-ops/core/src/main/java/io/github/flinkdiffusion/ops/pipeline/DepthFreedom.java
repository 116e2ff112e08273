/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import org.apache.flink.annotation.Internal;

/** What a model's depths leave open, so that two samples of one picture may differ in it. */
@Internal
public enum DepthFreedom {
  /** Depths are depths. */
  NONE,
  /** What is twice as far has twice the number. */
  SCALE,
  /** Differences of numbers are differences of depth, of an unknown unit. */
  SCALE_AND_SHIFT
}
