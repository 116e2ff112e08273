/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import org.apache.flink.annotation.Internal;

/**
 * What concerns all requests of a session. Called on the device's thread; see {@link
 * RequestListener}.
 */
@Internal
public interface SessionListener {

  /** A call is done in which at least one of this session's requests took part. */
  default void onCall(CallReport report) {}

  /**
   * The device or the program on it failed: no request of any session is done any more, and the
   * batcher takes no new ones. Called once.
   */
  void onDeviceFailed(BatchingException cause);
}
