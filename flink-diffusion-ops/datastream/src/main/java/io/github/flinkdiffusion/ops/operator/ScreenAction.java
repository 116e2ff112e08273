/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import org.apache.flink.annotation.Experimental;
import org.jspecify.annotations.NullMarked;

/** What becomes of an image that a classifier finds. */
@NullMarked
@Experimental
public enum ScreenAction {
  /** Nothing but the decision in its attributes, and a copy for review. */
  PASS,
  /** It becomes a few blurred squares. */
  BLUR,
  /** It becomes black. */
  BLACK,
  /** It becomes a failure. */
  BLOCK
}
