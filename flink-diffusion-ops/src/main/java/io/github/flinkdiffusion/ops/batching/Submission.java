package io.github.flinkdiffusion.ops.batching;

import java.time.Duration;
import java.util.Objects;
import java.util.Optional;

/**
 * How a request is to be served.
 *
 * @param priority larger goes first; see {@link BatchPolicy#agingPerPriority} for how much one is
 *     worth
 * @param timeout time from submission after which the request fails, if there is a limit; looked at
 *     between two calls
 */
public record Submission(int priority, Optional<Duration> timeout) {
  /** Priority 0, no time limit. */
  public static final Submission DEFAULT = new Submission(0, Optional.empty());

  public Submission {
    Objects.requireNonNull(timeout, "timeout");
    if (timeout.isPresent() && (timeout.get().isNegative() || timeout.get().isZero())) {
      throw new IllegalArgumentException(
          "A request can not have a timeout of " + timeout.get() + "; it is above zero or absent.");
    }
  }
}
