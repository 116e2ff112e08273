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

/** The outputs of {@link SeriesGathering}. */
@NullMarked
@Experimental
public final class SeriesStreams {
  private final SingleOutputStreamOperator<ImageTaskEvent> volumes;
  private final DataStream<FailureEvent> failures;

  SeriesStreams(
      SingleOutputStreamOperator<ImageTaskEvent> volumes, DataStream<FailureEvent> failures) {
    this.volumes = volumes;
    this.failures = failures;
  }

  /**
   * An image task for each series, for {@link Diffusion#imageTasks}. Its id is the series' UID
   * (SeriesInstanceUID), its image a {@link SliceList}.
   */
  public SingleOutputStreamOperator<ImageTaskEvent> volumes() {
    return volumes;
  }

  /** Series that are no volume, one failure each, and slices that belong to no series. */
  public DataStream<FailureEvent> failures() {
    return failures;
  }
}
