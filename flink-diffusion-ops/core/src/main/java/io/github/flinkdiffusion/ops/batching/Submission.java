/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.time.Duration;
import java.util.Comparator;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.flink.annotation.Internal;

/**
 * How a request is to be served.
 *
 * @param priority larger goes first; see {@link BatchPolicy#agingPerPriority} for how much one is
 *     worth
 * @param timeout time from submission after which the request fails, if there is a limit; looked at
 *     between two calls
 * @param deadline time from submission after which nobody wants the picture any more, if somebody
 *     said so: the request fails then, and until then it goes before those whose deadline is later
 * @param retries how often it is begun anew, from its seed, after a failure that another attempt
 *     may not have: memory that others held may be free by then, and what is not finite next to the
 *     limits of half precision may be so in other company; 0 or more
 * @param previewEverySteps after how many steps there is a small picture of it, when the device
 *     finds time between two steps; 0 for none
 * @param tenant on whose behalf it is computed
 */
@Internal
public record Submission(
    int priority,
    Optional<Duration> timeout,
    Optional<Duration> deadline,
    int retries,
    int previewEverySteps,
    Tenant tenant) {
  /** Priority 0, no limits, no retries, no tenant. */
  public static final Submission DEFAULT =
      new Submission(0, Optional.empty(), Optional.empty(), 0, 0, Tenant.DEFAULT);

  public Submission {
    Objects.requireNonNull(timeout, "timeout");
    Objects.requireNonNull(deadline, "deadline");
    requirePositive(timeout, "timeout");
    requirePositive(deadline, "deadline");
    Objects.requireNonNull(tenant, "tenant");
    if (retries < 0) {
      throw new IllegalArgumentException(
          "A request cannot be retried " + retries + " times; use 0 or more.");
    }
    if (previewEverySteps < 0) {
      throw new IllegalArgumentException(
          "A preview cannot come every " + previewEverySteps + " steps; use 0 for none, or more.");
    }
  }

  /** The time after which it fails, whichever of its limits is the tighter one. */
  public Optional<Duration> limit() {
    return Stream.of(timeout, deadline).flatMap(Optional::stream).min(Comparator.naturalOrder());
  }

  public Submission withPriority(int level) {
    return new Submission(level, timeout, deadline, retries, previewEverySteps, tenant);
  }

  public Submission withTimeout(Duration limit) {
    return new Submission(
        priority, Optional.of(limit), deadline, retries, previewEverySteps, tenant);
  }

  public Submission withDeadline(Duration timeLeft) {
    return new Submission(
        priority, timeout, Optional.of(timeLeft), retries, previewEverySteps, tenant);
  }

  public Submission withRetries(int times) {
    return new Submission(priority, timeout, deadline, times, previewEverySteps, tenant);
  }

  public Submission withPreviewEverySteps(int steps) {
    return new Submission(priority, timeout, deadline, retries, steps, tenant);
  }

  public Submission withTenant(Tenant whose) {
    return new Submission(priority, timeout, deadline, retries, previewEverySteps, whose);
  }

  private static void requirePositive(Optional<Duration> limit, String what) {
    if (limit.isPresent() && (limit.get().isNegative() || limit.get().isZero())) {
      throw new IllegalArgumentException(
          "Invalid %s of a request: %s. Expected a time above zero, or none."
              .formatted(what, limit.get()));
    }
  }
}
