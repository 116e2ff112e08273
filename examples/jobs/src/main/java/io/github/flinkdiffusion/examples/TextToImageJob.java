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
 * The job: prompts from a Kafka topic become pictures on another, and what cannot be done goes to a
 * third; each exactly once. A fourth tells the progress of long requests.
 *
 * <p>The model folder, the device and where Kafka is stand in the environment's configuration
 * ({@code diffusion.*}), so that the same code runs in a test and on a cluster.
 *
 * <pre>{@code
 * // flink run -Ddiffusion.model.folder=/models/sd-1.5 \
 * //     -Ddiffusion.kafka.bootstrap-servers=broker:9092 \
 * //     -Ddiffusion.kafka.transactional-id-prefix=posters -Dexecution.checkpointing.interval=10s \
 * //     flink-diffusion-examples.jar posters-
 * // which is this, and creates the topics:
 * TextToImageJob.create().define(env, Topics.withPrefix("posters-"));
 * env.execute("posters");
 * }</pre>
 */
public final class TextToImageJob {
  private final OffsetsInitializer start;
  private final UnaryOperator<DataStream<ImageEvent>> beforeSink;

  private TextToImageJob(
      OffsetsInitializer start, UnaryOperator<DataStream<ImageEvent>> beforeSink) {
    this.start = start;
    this.beforeSink = beforeSink;
  }

  /**
   * For {@code flink run}: submits the job, named after its topics' prefix, and creates those
   * topics that are missing, with a partition for each parallel subtask.
   *
   * @param args the prefix of the topics, see {@link Topics#withPrefix}
   */
  public static void main(String[] args) throws Exception {
    KafkaJob.submit(args, "text-to-image", Topics::withPrefix, create()::define);
  }

  /** A job that begins with the oldest prompt. */
  public static TextToImageJob create() {
    return new TextToImageJob(null, UnaryOperator.identity());
  }

  /** The same job, but one that begins there, unless it starts from a checkpoint or savepoint. */
  public TextToImageJob startingAt(OffsetsInitializer offsets) {
    return new TextToImageJob(offsets, beforeSink);
  }

  /** The same job with something between the pictures and their sink; tests let it fail there. */
  TextToImageJob beforeSink(UnaryOperator<DataStream<ImageEvent>> step) {
    return new TextToImageJob(start, step);
  }

  /**
   * Adds the job to an environment.
   *
   * @param env with checkpointing on, since results become visible with checkpoints
   * @param topics which exist
   */
  public void define(StreamExecutionEnvironment env, Topics topics) {
    new KafkaJob<>(
            "prompts", DiffusionSources.prompts(), Diffusion.textToImage().uid("text-to-image"))
        .define(env, topics, start, beforeSink);
  }
}
