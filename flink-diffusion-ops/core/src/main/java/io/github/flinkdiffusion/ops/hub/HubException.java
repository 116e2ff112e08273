/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import org.apache.flink.annotation.Internal;

/** A model, or a file of it, cannot be had from the hub or its cache. */
@Internal
public final class HubException extends FlinkDiffusionException {
  private static final long serialVersionUID = 1L;

  private final boolean mayPass;

  private HubException(String message, boolean mayPass, Throwable cause) {
    super(message, cause);
    this.mayPass = mayPass;
  }

  /** The same call gives the same answer until somebody changes something. */
  static HubException lasting(String message) {
    return new HubException(message, false, null);
  }

  /** For callers that find out themselves what stays as it is until somebody changes something. */
  public static HubException refused(String message) {
    return lasting(message);
  }

  /** Network, server or disk were the reason: the same call may succeed later. */
  static HubException passing(String message, Throwable cause) {
    return new HubException(message, true, cause);
  }

  /** Whether the same call may succeed later. */
  public boolean mayPass() {
    return mayPass;
  }
}
