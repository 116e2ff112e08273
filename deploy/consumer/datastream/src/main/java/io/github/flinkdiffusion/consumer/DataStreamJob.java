/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.consumer;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.operator.Diffusion;
import io.github.flinkdiffusion.ops.operator.DiffusionStreams;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** Two prompts become images, one that names no scheduler there is becomes a failure. */
public final class DataStreamJob {
  private DataStreamJob() {}

  public static void main(String[] arguments) throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.setParallelism(1);
    DataStream<PromptEvent> prompts =
        env.fromData(
            List.of(
                prompt("apple", "DDIMScheduler"),
                prompt("tree", "EulerDiscreteScheduler"),
                prompt("unknown", "NoSuchScheduler")),
            new AvroTypeInfo<>(PromptEvent.class));

    DiffusionStreams streams =
        Diffusion.textToImage().setModel(arguments[0]).uid("text-to-image").apply(prompts);
    DataStream<String> images =
        streams
            .images()
            .map(image -> "%s %dx%d".formatted(image.getId(), image.getWidth(), image.getHeight()))
            .returns(Types.STRING);
    DataStream<String> failures =
        streams
            .failures()
            .map(failure -> failure.getId() + " " + failure.getReason())
            .returns(Types.STRING);

    List<String> results = new ArrayList<>();
    images.union(failures).executeAndCollect().forEachRemaining(results::add);
    Collections.sort(results);
    List<String> expected = List.of("apple 64x64", "tree 64x64", "unknown INVALID_REQUEST");
    if (!results.equals(expected)) {
      throw new IllegalStateException("expected %s, got %s".formatted(expected, results));
    }
    System.out.println("DataStream: " + results);
  }

  private static PromptEvent prompt(String id, String scheduler) {
    return PromptEvent.newBuilder()
        .setId(id)
        .setPrompt("a red apple on a blue background")
        .setSeed(1L)
        .setSteps(4)
        .setScheduler(scheduler)
        .build();
  }
}
