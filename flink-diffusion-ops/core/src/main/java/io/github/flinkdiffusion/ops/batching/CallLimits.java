/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.util.HashMap;
import java.util.Map;

/**
 * Row limit: the policy's, or less where the device's memory did not suffice. What was learned is
 * kept for each stage and shape: a large picture that does not fit says nothing about small ones.
 */
final class CallLimits {
  private record Call(CallReport.Stage stage, Object batchKey) {}

  private final BatchPolicy policy;
  private final Map<Call, Integer> learned = new HashMap<>();

  CallLimits(BatchPolicy policy) {
    this.policy = policy;
  }

  /**
   * @param batchKey of the trajectories; any constant for encoding, which does not depend on it
   * @return rows (requests, other than in steps) that one call may have
   */
  int of(CallReport.Stage stage, Object batchKey) {
    int configured =
        switch (stage) {
          case ENCODE -> policy.encodeLimit();
          case STEP -> policy.rowLimit();
          case DECODE, PREVIEW -> policy.decodeLimit();
        };
    return learned.getOrDefault(new Call(stage, batchKey), configured);
  }

  /** Remembers that a call with so many rows did not fit: from now on half as many. */
  void halve(CallReport.Stage stage, Object batchKey, int rows) {
    learned.put(new Call(stage, batchKey), Math.max(1, rows / 2));
  }
}
