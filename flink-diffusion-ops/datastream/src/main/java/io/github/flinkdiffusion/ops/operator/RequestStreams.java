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
 * The outputs of what stands before a model, {@link InputConsent} and {@link ControlImages}.
 *
 * @param <E> kind of requests: {@code ImageTaskEvent} or {@code PromptEvent}
 */
@NullMarked
@Experimental
public final class RequestStreams<E> {
  private final SingleOutputStreamOperator<E> requests;
  private final DataStream<FailureEvent> failures;

  RequestStreams(SingleOutputStreamOperator<E> requests, DataStream<FailureEvent> failures) {
    this.requests = requests;
    this.failures = failures;
  }

  /** Requests for the model: those that may be processed, or have their control images. */
  public SingleOutputStreamOperator<E> requests() {
    return requests;
  }

  /** Requests that lack a consent, and those whose image cannot be read. */
  public DataStream<FailureEvent> failures() {
    return failures;
  }
}
