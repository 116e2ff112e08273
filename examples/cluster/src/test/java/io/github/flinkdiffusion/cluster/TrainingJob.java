/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.examples.training.ExampleEvent;
import io.github.flinkdiffusion.examples.training.TrainingStreams;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/** Trains with images of one color each, and appends each step's loss to a file. */
public final class TrainingJob {
  private TrainingJob() {}

  /**
   * For {@code flink run}.
   *
   * @param args a name, the recipe, the file of losses, and the number of examples
   */
  public static void main(String[] args) throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.setParallelism(1);
    DataStream<ExampleEvent> examples =
        env.fromSequence(0, Long.parseLong(args[3]) - 1)
            .map(TrainingJob::example, TypeInformation.of(ExampleEvent.class));
    SingleOutputStreamOperator<ModelEvent> versions =
        TrainingStreams.train(examples, Path.of(args[1]), args[0]);
    String losses = args[2];
    versions
        .getSideOutput(TrainingStreams.LOSSES)
        .map(line -> append(losses, line), Types.STRING)
        .sinkTo(new DiscardingSink<>());
    versions.sinkTo(new DiscardingSink<>());
    env.execute("training " + args[0]);
  }

  private static ExampleEvent example(long number) {
    Raster image = Raster.filled(3, 20, 24, number % 7 / 7f);
    return new ExampleEvent("e" + number, Images.write(image, "image/png"), "", new byte[0]);
  }

  /** One write a line, so that a process which is killed leaves no half of one. */
  private static String append(String file, String line) throws IOException {
    Files.writeString(
        Path.of(file), line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    return line;
  }
}
