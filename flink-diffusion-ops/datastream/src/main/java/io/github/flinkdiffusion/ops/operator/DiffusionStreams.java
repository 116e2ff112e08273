/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;

/**
 * What a diffusion operator puts out. Every request becomes exactly one image or one failure.
 *
 * @param images finished pictures, with the timestamps of their requests
 * @param failures requests that could not be done, with the reason and the request
 * @param progress how far requests have come, if {@link DiffusionOptions#PROGRESS_EVERY_STEPS} or
 *     {@link DiffusionOptions#PREVIEW_EVERY_STEPS} asks for it; may repeat after a failure
 */
@PublicEvolving
public record DiffusionStreams(
    SingleOutputStreamOperator<ImageEvent> images,
    DataStream<FailureEvent> failures,
    DataStream<ProgressEvent> progress) {}
