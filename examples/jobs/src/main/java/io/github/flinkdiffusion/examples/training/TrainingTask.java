/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.weights.Lora;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** What a recipe's task is: a loss, its weights and data, and what becomes of what was trained. */
interface TrainingTask extends Batches, AutoCloseable {
  /** Its graph. */
  Graph graph();

  /** Weights to begin with. */
  ParameterSource weights();

  /** Whether a parameter is trained. */
  boolean trains(String parameter);

  /** Writes what was trained. */
  void export(List<NamedWeight> trained);

  /** The folder that draws samples, after {@link #export}. */
  Path model();

  /** What samples are drawn with, after {@link #export}. */
  default List<Lora> loras() {
    return List.of();
  }

  /** Requests of samples. */
  List<GenerationSpec> samples();

  @Override
  void close();

  /** Called after the last step was exported. */
  default void finished() throws IOException {}
}
