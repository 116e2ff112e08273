/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.failure;

import org.apache.flink.annotation.Internal;

/**
 * An exception that concerns one request alone, such as one whose image cannot be read: it is the
 * answer to that request, and the model, the device and all other requests go on.
 */
@Internal
public interface ConcernsOneRequest {

  /** True when a file system was the reason, so that the same call may succeed later. */
  default boolean mayPass() {
    return false;
  }
}
