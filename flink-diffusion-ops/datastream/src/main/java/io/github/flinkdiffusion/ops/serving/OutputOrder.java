/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/** In which order results leave. */
@NullMarked
@PublicEvolving
public enum OutputOrder {
  /** As the requests came. A long request holds back those behind it. */
  ORDERED,

  /**
   * As they get done; only watermarks are not overtaken and overtake nothing, so event time is as
   * correct as with {@link #ORDERED}.
   */
  UNORDERED
}
