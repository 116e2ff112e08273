/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import org.apache.flink.annotation.Experimental;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.jspecify.annotations.NullMarked;

/**
 * The outputs of {@link InputConsent}.
 *
 * @param <E> kind of requests: {@code ImageTaskEvent} or {@code PromptEvent}
 */
@NullMarked
@Experimental
public final class ConsentStreams<E> {
  private final SingleOutputStreamOperator<E> requests;
  private final DataStream<FailureEvent> failures;

  ConsentStreams(SingleOutputStreamOperator<E> requests, DataStream<FailureEvent> failures) {
    this.requests = requests;
    this.failures = failures;
  }

  /** Requests that may be processed. */
  public SingleOutputStreamOperator<E> requests() {
    return requests;
  }

  /** Requests that lack a consent, and those whose input cannot be looked at. */
  public DataStream<FailureEvent> failures() {
    return failures;
  }
}
