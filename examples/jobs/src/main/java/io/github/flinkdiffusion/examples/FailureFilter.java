/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import java.time.Instant;
import java.util.Set;

/**
 * Which failures are meant.
 *
 * @param reasons none for all
 * @param ids of requests; none for all
 * @param since when the failure was written, or null
 * @param until exclusive, or null
 */
record FailureFilter(Set<FailureReason> reasons, Set<String> ids, Instant since, Instant until) {
  static final FailureFilter ALL = new FailureFilter(Set.of(), Set.of(), null, null);

  boolean takes(FailureEvent failure, long timestamp) {
    Instant written = Instant.ofEpochMilli(timestamp);
    return (reasons.isEmpty() || reasons.contains(failure.getReason()))
        && (ids.isEmpty() || ids.contains(failure.getId()))
        && (since == null || !written.isBefore(since))
        && (until == null || written.isBefore(until));
  }
}
