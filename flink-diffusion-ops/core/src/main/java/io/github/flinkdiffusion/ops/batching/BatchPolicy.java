/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.time.Duration;
import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * How much may share a call, and how order is kept. Limits are upper bounds: where the device's
 * memory does not suffice, {@link StepBatcher} finds lower ones.
 *
 * @param rowLimit rows of one network call; a guided request takes two
 * @param encodeLimit requests whose texts are encoded in one call
 * @param decodeLimit pictures that are decoded in one call
 * @param agingPerPriority head start of one level of priority, and how far ahead deadlines are
 *     looked at: a request of priority p goes before what arrived up to p times this earlier, and
 *     after everything older. So a request is overtaken only by those that arrive within a bounded
 *     time, and nothing starves.
 */
@Internal
public record BatchPolicy(
    int rowLimit, int encodeLimit, int decodeLimit, Duration agingPerPriority) {
  /** Aging where nothing else is asked for. */
  public static final Duration DEFAULT_AGING = Duration.ofMinutes(5);

  public BatchPolicy {
    requirePositive(rowLimit, "rows of a network call");
    requirePositive(encodeLimit, "requests of an encoding call");
    requirePositive(decodeLimit, "images of a decoding call");
    Objects.requireNonNull(agingPerPriority, "agingPerPriority");
    if (agingPerPriority.isNegative() || agingPerPriority.compareTo(Duration.ofDays(1)) > 0) {
      throw new IllegalArgumentException(
          "The head start of one priority cannot be "
              + agingPerPriority
              + "; use zero to one day.");
    }
  }

  /**
   * The policy for a limit of network rows: texts are small and encode by the row limit; pictures
   * decode in half of it, because a decoder holds them at full size.
   */
  public static BatchPolicy ofRows(int rowLimit) {
    return new BatchPolicy(rowLimit, rowLimit, Math.max(1, rowLimit / 2), DEFAULT_AGING);
  }

  BatchPolicy withAging(Duration aging) {
    return new BatchPolicy(rowLimit, encodeLimit, decodeLimit, aging);
  }

  private static void requirePositive(int limit, String what) {
    if (limit < 1) {
      throw new IllegalArgumentException(
          "The limit of " + what + " cannot be " + limit + "; use 1 or more.");
    }
  }
}
