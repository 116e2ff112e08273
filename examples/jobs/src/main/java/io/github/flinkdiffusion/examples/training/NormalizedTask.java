/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.training.WeightNormalization;
import io.github.flinkdiffusion.ops.weights.Lora;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** A task whose layers are trained as lengths and directions; what it writes has plain weights. */
final class NormalizedTask implements TrainingTask {
  private final TrainingTask task;
  private final Graph plain;
  private final WeightNormalization normalization;

  NormalizedTask(TrainingTask task) {
    this.task = task;
    this.plain = task.graph();
    this.normalization = WeightNormalization.ofTrained(plain, task::trains, task.weights());
  }

  @Override
  public Graph graph() {
    return normalization.in(plain);
  }

  @Override
  public ParameterSource weights() {
    return normalization.weights(task.weights(), plain);
  }

  @Override
  public boolean trains(String parameter) {
    return task.trains(parameter);
  }

  @Override
  public HostTensor[] at(long position) {
    return task.at(position);
  }

  @Override
  public void export(List<NamedWeight> trained) {
    task.export(WeightNormalization.folded(trained));
  }

  @Override
  public Path model() {
    return task.model();
  }

  @Override
  public List<Lora> loras() {
    return task.loras();
  }

  @Override
  public List<GenerationSpec> samples() {
    return task.samples();
  }

  @Override
  public void finished() throws IOException {
    task.finished();
  }

  @Override
  public void close() {
    task.close();
  }
}
