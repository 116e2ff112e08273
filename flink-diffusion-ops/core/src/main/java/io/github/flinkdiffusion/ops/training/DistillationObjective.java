/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.Scope;
import io.github.flinkdiffusion.ops.pipeline.EmbeddedGuidance;
import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.random.RandomGenerator;
import org.apache.flink.annotation.Internal;

/**
 * The loss of a student that learns of a teacher, with both networks in one graph.
 *
 * <p>{@code forward(clean [N,C,h,w], noise [N,C,h,w], numbers [N,K,1,1], timesteps [N,L])}, then
 * {@code guidance [N,E]} if a network embeds the scale, then {@code ids} and {@code empty_ids}
 * [N,tokens] if they see prompts, the second only for a teacher that is guided by two calls. {@link
 * #inputs} makes them. The student's parameters stand under {@code unet.}, the teacher's under
 * {@code teacher.unet.}, and the student's average, where it is called, under {@code
 * average.unet.}.
 *
 * @param distillation what the student learns
 * @param teacher which stays as it is
 * @param student which learns
 * @param prompts empty for networks without prompts
 * @param target what both predict
 * @param distance between their answers
 * @param threshold of a Huber distance
 */
@Internal
public record DistillationObjective(
    Distillation distillation,
    Party teacher,
    Party student,
    Optional<Prompts> prompts,
    PredictionTarget target,
    Distance distance,
    HuberThreshold threshold) {
  /** Where the student's parameters stand. */
  public static final String STUDENT = Denoiser.UNET + ".";

  /** Where the teacher's parameters stand. */
  public static final String TEACHER = "teacher." + STUDENT;

  /** Where the averaged student's parameters stand. */
  public static final String AVERAGE = TrainableNetwork.AVERAGE_PREFIX + STUDENT;

  /**
   * A network and its conditions.
   *
   * @param guidanceSize size of the embedded guidance scale, {@code time_cond_proj_dim}; 0 if it
   *     embeds none
   */
  public record Party(DistilledDenoiser network, int guidanceSize) {}

  /** An encoder of prompts that is not trained. */
  public record Prompts(ClipText encoder, int tokens) {}

  public DistillationObjective {
    Distillation.Scales scales = distillation.scales();
    if (scales.guides() && prompts.isEmpty()) {
      throw new IllegalArgumentException(
          "A model without prompts has no guidance; the scale is up to %s, expected 1."
              .formatted(scales.greatest()));
    }
    if (scales.vary() && student.guidanceSize() == 0) {
      throw new IllegalArgumentException(
          "The guidance scale varies from %s to %s, but the student embeds none: give it an embedding, or one scale."
              .formatted(scales.least(), scales.greatest()));
    }
    if (teacher.guidanceSize() > 0
        && student.guidanceSize() > 0
        && teacher.guidanceSize() != student.guidanceSize()) {
      throw new IllegalArgumentException(
          "The teacher embeds the guidance scale in %d numbers, the student in %d; expected the same."
              .formatted(teacher.guidanceSize(), student.guidanceSize()));
    }
  }

  /** Whether the teacher is called for the empty prompt, too. */
  public boolean callsTeacherTwice() {
    return distillation.scales().guides() && teacher.guidanceSize() == 0;
  }

  private int guidanceSize() {
    return Math.max(teacher.guidanceSize(), student.guidanceSize());
  }

  /** The graph of the loss. */
  public Graph graph() {
    Graph graph = new Graph();
    Method m = graph.method("forward");
    Value clean = m.input("clean", 4);
    Value noise = m.input("noise", 4);
    Value numbers = m.input("numbers", 4);
    Value timesteps = m.input("timesteps", 2);
    Value guidance = guidanceSize() > 0 ? m.input("guidance", 2) : null;
    Value context = null;
    Value empty = null;
    if (prompts.isPresent()) {
      context = encoded(m, "ids");
      empty = callsTeacherTwice() ? encoded(m, "empty_ids") : null;
    }
    Teaching teaching =
        new Teaching(this, m, clean, noise, numbers, timesteps, context, empty, guidance);
    m.returns(distillation.loss(teaching));
    return graph;
  }

  private Value encoded(Method m, String name) {
    Prompts text = prompts.orElseThrow();
    Scope at = new Scope(m, Denoiser.TEXT_ENCODER + ".");
    return text.encoder().emit(at, m.integers(name, 2), text.tokens());
  }

  /** Whether a parameter of the graph is the student's. */
  public static boolean isStudent(String parameter) {
    return parameter.startsWith(STUDENT);
  }

  /**
   * Inputs with noise, levels and guidance scales drawn at random.
   *
   * @param clean [N,C,h,w]
   * @param ids [N,tokens]; null without prompts
   * @param emptyIds [N,tokens]; null without prompts
   */
  public HostTensor[] inputs(
      RandomGenerator random,
      TrainingLevels levels,
      HostTensor.Floats clean,
      HostTensor.Longs ids,
      HostTensor.Longs emptyIds) {
    int n = (int) clean.shape()[0];
    Distillation.Row[] rows = new Distillation.Row[n];
    double[] scales = new double[n];
    Distillation.Scales range = distillation.scales();
    for (int i = 0; i < n; i++) {
      rows[i] = distillation.draw(random, levels, target);
      scales[i] = range.least() + random.nextDouble() * (range.greatest() - range.least());
    }
    HostTensor.Floats noise = Gaussians.draw(random, clean.shape());
    return at(rows, scales, levels, clean, noise, ids, emptyIds);
  }

  /** Inputs of given rows. */
  HostTensor[] at(
      Distillation.Row[] rows,
      double[] scales,
      TrainingLevels levels,
      HostTensor.Floats clean,
      HostTensor.Floats noise,
      HostTensor.Longs ids,
      HostTensor.Longs emptyIds) {
    int n = rows.length;
    int points = distillation.points();
    int width = Teaching.FIRST + 2 * points + distillation.further();
    float[] numbers = new float[n * width];
    float[] timesteps = new float[n * points];
    int size = guidanceSize();
    float[] guidance = new float[n * size];
    for (int i = 0; i < n; i++) {
      int at = i * width;
      numbers[at++] = (float) rows[i].weight();
      numbers[at++] = (float) threshold.at(levels, rows[i].level());
      numbers[at++] = (float) (scales[i] - 1);
      for (int j = 0; j < points; j++) {
        Distillation.Point point = rows[i].levels()[j];
        numbers[at++] = (float) point.signal();
        numbers[at++] = (float) point.noise();
        timesteps[i * points + j] = (float) point.timestep();
      }
      for (double more : rows[i].more()) {
        numbers[at++] = (float) more;
      }
      if (size > 0) {
        System.arraycopy(EmbeddedGuidance.of(scales[i], size), 0, guidance, i * size, size);
      }
    }
    List<HostTensor> inputs = new ArrayList<>();
    inputs.add(clean);
    inputs.add(noise);
    inputs.add(new HostTensor.Floats(numbers, n, width, 1, 1));
    inputs.add(new HostTensor.Floats(timesteps, n, points));
    if (size > 0) {
      inputs.add(new HostTensor.Floats(guidance, n, size));
    }
    if (prompts.isPresent()) {
      inputs.add(ids);
      if (callsTeacherTwice()) {
        inputs.add(emptyIds);
      }
    }
    return inputs.toArray(HostTensor[]::new);
  }
}
