/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import org.apache.flink.annotation.Experimental;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.jspecify.annotations.NullMarked;

/** The outputs of {@link ImageScreening}. */
@NullMarked
@Experimental
public final class ScreenedStreams {
  private final SingleOutputStreamOperator<ImageEvent> images;
  private final DataStream<FailureEvent> failures;
  private final DataStream<ImageEvent> review;

  ScreenedStreams(
      SingleOutputStreamOperator<ImageEvent> images,
      DataStream<FailureEvent> failures,
      DataStream<ImageEvent> review) {
    this.images = images;
    this.failures = failures;
    this.review = review;
  }

  /** Images that may be shown, with the decision and all scores in their attributes. */
  public SingleOutputStreamOperator<ImageEvent> images() {
    return images;
  }

  /** Images that were blocked, and those that could not be looked at. */
  public DataStream<FailureEvent> failures() {
    return failures;
  }

  /** Each image that was found, as it was before, with the decision in its attributes. */
  public DataStream<ImageEvent> review() {
    return review;
  }
}
