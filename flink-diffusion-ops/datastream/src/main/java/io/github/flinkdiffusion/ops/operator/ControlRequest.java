/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.util.List;
import org.apache.flink.runtime.operators.coordination.CoordinationRequest;

/** What tasks ask a {@link ControlBoard} for. */
sealed interface ControlRequest extends CoordinationRequest {

  /** Name of the board, which a relay and an operator share; unique in a job. */
  String board();

  /**
   * From the relay: put these up.
   *
   * @param messages as {@link ControlKind#encode} writes them
   */
  record Put(String board, List<byte[]> messages) implements ControlRequest {
    private static final long serialVersionUID = 1L;
  }

  /**
   * From a subtask: what was put up after what it knows. The answer waits a moment for there to be
   * something.
   *
   * @param edition of the board, as the last answer said; empty at first
   * @param number of the last one that it knows
   */
  record After(String board, String edition, long number) implements ControlRequest {
    private static final long serialVersionUID = 1L;
  }
}
