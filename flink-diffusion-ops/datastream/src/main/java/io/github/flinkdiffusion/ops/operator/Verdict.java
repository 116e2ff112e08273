/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.io.Serializable;
import java.util.List;
import java.util.Map;

/**
 * A coordinator's answer.
 *
 * @param watched false when any request may run without asking
 * @param run keys of the requests that may run now; ask again when they have ended
 * @param poison keys of requests that are not tried any more, and why
 */
record Verdict(boolean watched, List<String> run, Map<String, String> poison)
    implements Serializable {
  static final Verdict FREE = new Verdict(false, List.of(), Map.of());

  /** Ask again after a moment. */
  static final Verdict WAIT = new Verdict(true, List.of(), Map.of());

  Verdict {
    run = List.copyOf(run);
    poison = Map.copyOf(poison);
  }
}
