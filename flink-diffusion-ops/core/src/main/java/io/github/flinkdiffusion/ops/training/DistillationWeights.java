/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Map;
import org.apache.flink.annotation.Internal;

/**
 * Weights that a distillation begins with: the student has those of its teacher wherever name and
 * shape are the same, and its embedding of the guidance scale begins by adding nothing. So a
 * student of the same size begins as its teacher.
 */
@Internal
public final class DistillationWeights implements ParameterSource {
  private final ParameterSource source;

  /**
   * @param teacher its denoising network
   * @param textEncoder null for a model without prompts
   */
  public DistillationWeights(TensorStore teacher, TensorStore textEncoder, long seed) {
    Map<String, TensorStore> earlier =
        textEncoder == null
            ? Map.of(DistillationObjective.STUDENT, teacher, DistillationObjective.TEACHER, teacher)
            : Map.of(
                DistillationObjective.STUDENT,
                teacher,
                DistillationObjective.TEACHER,
                teacher,
                Denoiser.TEXT_ENCODER + ".",
                textEncoder);
    this.source =
        new WarmStart(earlier, new WeightInitializer(seed, name -> name.contains(".cond_proj.")));
  }

  @Override
  public void write(String name, long[] shape, OutputStream out) throws IOException {
    String average = TrainableNetwork.AVERAGE_PREFIX;
    source.write(name.startsWith(average) ? name.substring(average.length()) : name, shape, out);
  }
}
