/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.connector.event.ModelEvent;
import java.nio.file.Path;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.util.OutputTag;

/**
 * A training as a part of a Flink job.
 *
 * <pre>{@code
 * SingleOutputStreamOperator<ModelEvent> versions =
 *     TrainingStreams.train(examples, Path.of("/shared/recipe.yaml"), "default");
 * versions.sinkTo(DiffusionSinks.models()....build());
 * versions.getSideOutput(TrainingStreams.LOSSES).print();
 * }</pre>
 */
public final class TrainingStreams {
  /** A line for each step: its number and its loss. */
  public static final OutputTag<String> LOSSES =
      new OutputTag<>("diffusion-training-losses", Types.STRING);

  /** A line for each example that is no image: its id and what is wrong with it. */
  public static final OutputTag<String> REJECTED =
      new OutputTag<>("diffusion-training-rejected", Types.STRING);

  private TrainingStreams() {}

  /**
   * Trains with examples in the order in which they arrive. For a training that does not depend on
   * when it was killed, that order must be the same after a restart: one partition of a topic, or
   * one file.
   *
   * @param recipe on a file system that all task managers see, as its {@code model} and {@code
   *     out}; its {@code data} is not read, except for how images are cut and changed, and {@code
   *     save_every} is after how many steps a version is published
   * @param model named in the events
   */
  public static SingleOutputStreamOperator<ModelEvent> train(
      DataStream<ExampleEvent> examples, Path recipe, String model) {
    // Chained to what has a parallelism of 1: a checkpoint's barrier then waits for no example
    // before it.
    boolean single = examples.getParallelism() == 1;
    return (single ? examples : examples.global())
        .transform(
            "training",
            TypeInformation.of(ModelEvent.class),
            new TrainingOperator(recipe.toAbsolutePath().toString(), model))
        .uid("diffusion-training-" + model)
        .setParallelism(1)
        .setMaxParallelism(1);
  }
}
