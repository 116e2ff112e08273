/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.time.Duration;
import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * How long a caller waits for a model that others have left and that its device has not freed yet.
 *
 * @param limit above zero
 * @param setting what the limit is called where it is set, for messages
 */
@Internal
public record Patience(Duration limit, String setting) {
  public Patience {
    Objects.requireNonNull(limit, "limit");
    Objects.requireNonNull(setting, "setting");
    if (limit.isZero() || limit.isNegative()) {
      throw new IllegalArgumentException(
          "Invalid waiting time " + limit + "; expected a time above zero.");
    }
  }
}
