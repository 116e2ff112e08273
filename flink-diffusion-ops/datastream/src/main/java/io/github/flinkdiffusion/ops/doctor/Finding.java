/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import java.io.Serializable;
import java.util.Objects;

/**
 * One thing that a check found.
 *
 * @param level how bad it is
 * @param check name of the check, such as {@code kafka}
 * @param found what is so, with the value and where it was found
 * @param advice what to do; empty where there is nothing to do
 */
record Finding(Level level, String check, String found, String advice) implements Serializable {
  Finding {
    Objects.requireNonNull(level, "level");
    Objects.requireNonNull(check, "check");
    Objects.requireNonNull(found, "found");
    if (advice.isEmpty() == (level == Level.ERROR || level == Level.WARNING)) {
      throw new IllegalArgumentException("what to do is said of errors and warnings: " + found);
    }
  }

  /** From the best to the worst. */
  enum Level {
    /** Examined, and as it should be. */
    OK,
    /** Not examined, because it is not set. */
    SKIPPED,
    /** The job runs, but not as well or as safely as it could. */
    WARNING,
    /** The job would not start, or would fail. */
    ERROR
  }

  static Finding ok(String check, String found) {
    return new Finding(Level.OK, check, found, "");
  }

  static Finding skipped(String check, String found) {
    return new Finding(Level.SKIPPED, check, found, "");
  }

  static Finding warning(String check, String found, String advice) {
    return new Finding(Level.WARNING, check, found, advice);
  }

  static Finding error(String check, String found, String advice) {
    return new Finding(Level.ERROR, check, found, advice);
  }
}
