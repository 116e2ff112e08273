/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.kafka.DiffusionSources;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import java.util.function.UnaryOperator;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * The job: images from a Kafka topic, in their events or beside them, are enlarged or segmented,
 * whichever the model does, with an uncertainty when samples are asked for. Large ones are cut into
 * tiles. Results and failures go to two other topics, each exactly once.
 *
 * <p>The model folder and the rest stand in the environment's configuration.
 *
 * <pre>{@code
 * // flink run -Ddiffusion.model.folder=/models/mini-satellite-x4 \
 * //     -Ddiffusion.payload.store=s3://scenes/payloads -Ddiffusion.default.ensemble-size=8 \
 * //     -Ddiffusion.kafka.bootstrap-servers=broker:9092 \
 * //     -Ddiffusion.kafka.transactional-id-prefix=scenes -Dexecution.checkpointing.interval=10s \
 * //     -c io.github.flinkdiffusion.examples.ImageTaskJob flink-diffusion-examples.jar scenes-
 * // which is this, and creates the topics:
 * ImageTaskJob.create().define(env, Topics.ofImageTasks("scenes-"));
 * env.execute("scenes");
 * }</pre>
 */
public final class ImageTaskJob {
  private final OffsetsInitializer start;
  private final UnaryOperator<DataStream<ImageEvent>> beforeSink;

  private ImageTaskJob(OffsetsInitializer start, UnaryOperator<DataStream<ImageEvent>> beforeSink) {
    this.start = start;
    this.beforeSink = beforeSink;
  }

  /**
   * For {@code flink run}, as {@link TextToImageJob#main}.
   *
   * @param args the prefix of the topics, see {@link Topics#ofImageTasks}
   */
  public static void main(String[] args) throws Exception {
    KafkaJob.submit(args, "image-tasks", Topics::ofImageTasks, create()::define);
  }

  /** A job that begins with the oldest request. */
  public static ImageTaskJob create() {
    return new ImageTaskJob(null, UnaryOperator.identity());
  }

  /** The same job, but one that begins there, unless it starts from a checkpoint or savepoint. */
  public ImageTaskJob startingAt(OffsetsInitializer offsets) {
    return new ImageTaskJob(offsets, beforeSink);
  }

  /** The same job with something between the pictures and their sink; tests let it fail there. */
  ImageTaskJob beforeSink(UnaryOperator<DataStream<ImageEvent>> step) {
    return new ImageTaskJob(start, step);
  }

  /**
   * Adds the job to an environment.
   *
   * @param env with checkpointing on, since results become visible with checkpoints
   * @param topics which exist
   */
  public void define(StreamExecutionEnvironment env, Topics topics) {
    new KafkaJob<>(
            "image-tasks",
            DiffusionSources.imageTasks(),
            Diffusion.imageTasks().uid("image-to-image"))
        .define(env, topics, start, beforeSink);
  }
}
