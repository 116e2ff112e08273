/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import org.apache.flink.annotation.Internal;

/**
 * A scheduler's config, or a request made of it, cannot be served. The message says where the value
 * comes from, what it is and what would be accepted.
 */
@Internal
public final class SchedulerException extends FlinkDiffusionException {

  private static final long serialVersionUID = 1L;

  public SchedulerException(String message) {
    super(message);
  }

  public SchedulerException(String message, Throwable cause) {
    super(message, cause);
  }

  static SchedulerException unsupported(
      SchedulerConfig config, String key, Object value, String supported) {
    return new SchedulerException(
        String.format(
            "%s: %s has %s = %s; supported: %s",
            config.source(), config.className(), key, value, supported));
  }
}
