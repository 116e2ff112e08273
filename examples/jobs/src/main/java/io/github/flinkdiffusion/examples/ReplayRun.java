/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadFile;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import io.github.flinkdiffusion.ops.operator.DiffusionStreams;
import io.github.flinkdiffusion.ops.operator.Replay;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.RpcOptions;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.CloseableIterator;

/**
 * Sends a recorded request through the operator that made its result, in a Flink cluster in this
 * process: whatever makes a result (tiles, ensembles, files) is then made the same way.
 */
final class ReplayRun {
  private static final String NAME = "replay";

  private final Configuration settings;
  private final Path scratch;

  /**
   * @param settings the model and the device
   * @param scratch folder for the result
   */
  ReplayRun(Configuration settings, Path scratch) {
    this.settings = settings;
    this.scratch = scratch;
  }

  /**
   * Makes the result again.
   *
   * @param inputs the files that it is made from, by their parameters
   * @return the event, whose pictures are files below the scratch folder
   * @throws DemoException when the request cannot be done
   */
  ImageEvent make(Audit audit, Map<String, Path> inputs) throws Exception {
    Configuration job = Replay.settings(audit);
    job.addAll(settings);
    // Pictures of any size go beside the events, which Flink collects in small batches.
    job.set(PayloadOptions.STORE, scratch.toUri().toString());
    job.set(PayloadOptions.INLINE_LIMIT, MemorySize.ZERO);
    job.set(RestartStrategyOptions.RESTART_STRATEGY, "none");
    // A model is loaded meanwhile, which may take all processors.
    job.set(RpcOptions.ASK_TIMEOUT_DURATION, Duration.ofMinutes(2));
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, job);
    SpecificRecord answer =
        answer(
            inputs.containsKey(Parameters.IMAGE.name())
                ? imageTask(env, job, audit, inputs)
                : prompt(env, job, audit, inputs));
    if (answer instanceof FailureEvent failure) {
      throw new DemoException(
          "The result could not be made again: %s: %s"
              .formatted(failure.getReason(), failure.getMessage()));
    }
    return (ImageEvent) answer;
  }

  private static DiffusionStreams prompt(
      StreamExecutionEnvironment env, Configuration job, Audit audit, Map<String, Path> inputs) {
    return Diffusion.textToImage()
        .uid(NAME)
        .apply(
            env.fromData(
                List.of(Replay.prompt(audit, NAME, stored(job, inputs))),
                new AvroTypeInfo<>(PromptEvent.class)));
  }

  private static DiffusionStreams imageTask(
      StreamExecutionEnvironment env, Configuration job, Audit audit, Map<String, Path> inputs) {
    return Diffusion.imageTasks()
        .uid(NAME)
        .apply(
            env.fromData(
                List.of(Replay.imageTask(audit, NAME, stored(job, inputs))),
                new AvroTypeInfo<>(ImageTaskEvent.class)));
  }

  private static Map<String, Payload> stored(Configuration job, Map<String, Path> inputs) {
    PayloadStore store = new PayloadStore(PayloadSettings.of(job));
    Map<String, Payload> images = new HashMap<>();
    inputs.forEach((name, file) -> images.put(name, store.write(file, "")));
    return images;
  }

  private static SpecificRecord answer(DiffusionStreams results) throws Exception {
    try (CloseableIterator<byte[]> answers =
        results
            .images()
            .map(
                image -> EventCodec.images().encode(image),
                PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO)
            .union(
                results
                    .failures()
                    .map(
                        failure -> EventCodec.failures().encode(failure),
                        PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO))
            .executeAndCollect(NAME)) {
      return EventCodec.decodeAny(answers.next());
    }
  }

  /** The file of one of the event's pictures. */
  Path file(Payload picture) {
    Configuration reading =
        new Configuration().set(PayloadOptions.STORE, scratch.toUri().toString());
    try (PayloadFile file = new PayloadStore(PayloadSettings.of(reading)).open(picture, scratch)) {
      return file.path();
    }
  }
}
