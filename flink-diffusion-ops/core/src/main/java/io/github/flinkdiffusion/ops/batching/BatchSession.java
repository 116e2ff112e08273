/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import org.apache.flink.annotation.Internal;

/**
 * One caller's share of a {@link StepBatcher}: its requests and its end. Bounded by the caller, who
 * knows how much it may have in flight. Methods may be called from any thread; none waits for the
 * device.
 */
@Internal
public final class BatchSession implements AutoCloseable {
  private final StepBatcher batcher;
  private final SessionListener listener;
  private volatile boolean closed;

  BatchSession(StepBatcher batcher, SessionListener listener) {
    this.batcher = batcher;
    this.listener = listener;
  }

  /**
   * Hands over a request; it joins a call at one of the next boundaries.
   *
   * @param work a request, or a trajectory of {@link Ticket#rest} on a model of equal basis
   * @param listener told what becomes of it, possibly before this method returns
   * @return says at any time what is left to do
   * @throws BatchingException when the device has failed or is closed
   */
  public Ticket submit(Work work, Submission how, RequestListener listener) {
    return batcher.submit(this, work, how, listener);
  }

  /**
   * Gives up a request; its listener gets a failure of kind {@link RequestFailure.Kind#CANCELLED},
   * unless it had its result by then.
   */
  public void cancel(Ticket ticket) {
    batcher.cancel(ticket);
  }

  /**
   * Gives up all requests. No listener of this session is called after the current call.
   * Idempotent.
   */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      batcher.leave(this);
    }
  }

  boolean isClosed() {
    return closed;
  }

  SessionListener listener() {
    return listener;
  }
}
