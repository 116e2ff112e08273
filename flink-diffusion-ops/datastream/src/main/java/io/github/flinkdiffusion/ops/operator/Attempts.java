/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import java.time.Duration;

/**
 * How often, and for how long, one piece of a request's work is tried. An error that may be the
 * request's doing (too little heap, too deep a recursion, a bug) is tried a number of times; a file
 * system that does not answer is waited for, for a time. No thread waits meanwhile. Used by one
 * thread at a time.
 */
final class Attempts {
  private static final Duration FIRST_DELAY = Duration.ofMillis(100);
  private static final Duration LONGEST_DELAY = Duration.ofSeconds(15);
  private static final long NONE = Long.MIN_VALUE;

  private final String what;
  private final int most;
  private final long longestMillis;
  private int failed;
  private long outageSince = NONE;
  private Duration delay = FIRST_DELAY;

  Attempts(String what, DiffusionSettings settings) {
    this.what = what;
    this.most = settings.requestAttempts();
    this.longestMillis = settings.outageRetryTime().toMillis();
  }

  /** What is tried, for messages. */
  String what() {
    return what;
  }

  /**
   * Counts an error.
   *
   * @return whether another attempt is left
   */
  boolean failed() {
    return ++failed < most;
  }

  /**
   * Notes that a file system does not answer.
   *
   * @param nowMillis processing time
   * @return whether to try again after {@link #delay}
   */
  boolean waitsOn(long nowMillis) {
    if (outageSince == NONE) {
      outageSince = nowMillis;
    }
    return nowMillis - outageSince < longestMillis;
  }

  /** Time until the next attempt, twice as long after each. */
  Duration delay() {
    Duration now = delay;
    delay = delay.multipliedBy(2);
    if (delay.compareTo(LONGEST_DELAY) > 0) {
      delay = LONGEST_DELAY;
    }
    return now;
  }
}
