/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import org.apache.flink.annotation.Experimental;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.jspecify.annotations.NullMarked;

/** The outputs of {@link InputConsent}. */
@NullMarked
@Experimental
public final class ConsentStreams {
  private final SingleOutputStreamOperator<ImageTaskEvent> tasks;
  private final DataStream<FailureEvent> failures;

  ConsentStreams(
      SingleOutputStreamOperator<ImageTaskEvent> tasks, DataStream<FailureEvent> failures) {
    this.tasks = tasks;
    this.failures = failures;
  }

  /** Requests that may be processed. */
  public SingleOutputStreamOperator<ImageTaskEvent> tasks() {
    return tasks;
  }

  /** Requests that lack a consent, and those whose input cannot be looked at. */
  public DataStream<FailureEvent> failures() {
    return failures;
  }
}
