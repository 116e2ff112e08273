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
 * The outputs of {@link ControlImages}.
 *
 * @param <E> kind of requests: {@code ImageTaskEvent} or {@code PromptEvent}
 */
@NullMarked
@Experimental
public final class ControlledStreams<E> {
  private final SingleOutputStreamOperator<E> requests;
  private final DataStream<FailureEvent> failures;

  ControlledStreams(SingleOutputStreamOperator<E> requests, DataStream<FailureEvent> failures) {
    this.requests = requests;
    this.failures = failures;
  }

  /** Requests with their control images. */
  public SingleOutputStreamOperator<E> requests() {
    return requests;
  }

  /** Requests whose image cannot be read, or made into a control image. */
  public DataStream<FailureEvent> failures() {
    return failures;
  }
}
