/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.kafka.DiffusionSources;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import io.github.flinkdiffusion.ops.operator.SeriesStreams;
import java.util.function.UnaryOperator;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * The job: DICOM files from a Kafka topic, each beside its event, are gathered into their series,
 * and each series has one result, such as one DICOM SEG. A series that is no volume is a failure
 * that names the files.
 *
 * <p>The model folder and the rest stand in the environment's configuration.
 *
 * <pre>{@code
 * // flink run -Ddiffusion.model.folder=/models/mini-brain-mask -Ddiffusion.image.format=DICOM \
 * //     -Ddiffusion.payload.store=s3://scans/payloads \
 * //     -Ddiffusion.payload.allowed-prefixes=s3://scans/ \
 * //     -Ddiffusion.kafka.bootstrap-servers=broker:9092 \
 * //     -Ddiffusion.kafka.transactional-id-prefix=scans -Dexecution.checkpointing.interval=10s \
 * //     -c io.github.flinkdiffusion.examples.SeriesJob flink-diffusion-examples.jar scans-
 * // which is this, and creates the topics:
 * SeriesJob.create().define(env, Topics.ofImageTasks("scans-"));
 * env.execute("scans");
 * }</pre>
 */
public final class SeriesJob {
  private final OffsetsInitializer start;

  private SeriesJob(OffsetsInitializer start) {
    this.start = start;
  }

  /**
   * For {@code flink run}, as {@link TextToImageJob#main}.
   *
   * @param args the prefix of the topics, see {@link Topics#ofImageTasks}
   */
  public static void main(String[] args) throws Exception {
    KafkaJob.submit(args, "series", Topics::ofImageTasks, create()::define);
  }

  /** A job that begins with the oldest request. */
  public static SeriesJob create() {
    return new SeriesJob(null);
  }

  /** The same job, but one that begins there, unless it starts from a checkpoint or savepoint. */
  public SeriesJob startingAt(OffsetsInitializer offsets) {
    return new SeriesJob(offsets);
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
        .define(
            env,
            topics,
            start,
            UnaryOperator.identity(),
            (files, failures) -> {
              SeriesStreams series = Diffusion.series().uid("gather").apply(files);
              return KafkaJob.Requests.of(series.volumes(), failures.union(series.failures()));
            });
  }
}
