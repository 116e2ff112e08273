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

/**
 * What gathering series puts out.
 *
 * @param volumes an image task for each series, whose id is the series' UID and whose image is a
 *     {@link SliceList}; for {@link Diffusion#imageTasks}
 * @param failures series that are no volume, and slices that belong to none
 */
@Experimental
public record SeriesStreams(
    SingleOutputStreamOperator<ImageTaskEvent> volumes, DataStream<FailureEvent> failures) {}
