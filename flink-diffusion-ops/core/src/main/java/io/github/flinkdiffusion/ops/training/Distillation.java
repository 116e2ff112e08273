/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import java.util.Map;
import java.util.random.RandomGenerator;
import org.apache.flink.annotation.Internal;

/** What a student learns of its teacher. */
@Internal
public sealed interface Distillation {
  /**
   * Guidance scales that a teacher is asked with, drawn evenly; as classifier-free guidance has
   * them, so 1 is none.
   */
  record Scales(double least, double greatest) {
    /** No guidance. */
    public static final Scales NONE = new Scales(1, 1);

    public Scales {
      if (!(least >= 1 && greatest >= least && greatest < Double.POSITIVE_INFINITY)) {
        throw new IllegalArgumentException(
            "Guidance scales from %s to %s; expected 1 <= least <= greatest."
                .formatted(least, greatest));
      }
    }

    /** Whether the teacher needs a second call, for the empty prompt. */
    boolean guides() {
      return greatest > 1;
    }

    /** Whether a student has to be told the scale. */
    public boolean vary() {
      return greatest > least;
    }
  }

  /**
   * Numbers of one row of a batch.
   *
   * @param level the noisiest one that is looked at; decides on the Huber threshold
   * @param weight of the row's loss
   * @param levels all that are looked at, from the noisiest
   * @param more what else the loss needs
   */
  record Row(int level, double weight, Point[] levels, double... more) {}

  /** A noise level. */
  record Point(double signal, double noise, double timestep) {
    static Point of(TrainingLevels levels, int level) {
      return new Point(levels.signal(level), levels.noise(level), levels.timestep(level));
    }
  }

  /** Scales that the teacher is asked with. */
  Scales scales();

  /** Number of levels in a row. */
  int points();

  /** Number of further numbers in a row. */
  default int further() {
    return 0;
  }

  /**
   * Draws a row.
   *
   * @throws IllegalArgumentException if the model's levels do not suit
   */
  Row draw(RandomGenerator random, TrainingLevels levels, PredictionTarget target);

  /** Emits the loss, a scalar. */
  Value loss(Teaching teaching);

  /** Whether the loss calls the student's moving average, too. */
  default boolean usesAverage() {
    return false;
  }

  /**
   * Latent consistency distillation (Luo et al. 2023, as diffusers' {@code
   * train_lcm_distill_sd_wds.py}): the student says at a level what its average says at the next
   * one, which a step of the teacher leads to. The steps are those of a DDIM solver that skips
   * levels. At level 0 the student's answer is its input (boundary condition).
   *
   * @param solverSteps steps of the solver, mostly 50; {@code original_inference_steps}
   * @param timestepScaling how fast the boundary condition fades, mostly 10
   */
  record Consistency(int solverSteps, double timestepScaling, Scales scales)
      implements Distillation {
    private static final double SIGMA_DATA = 0.5;

    public Consistency {
      if (solverSteps < 1 || !(timestepScaling > 0)) {
        throw new IllegalArgumentException(
            "Consistency distillation needs solver steps >= 1 and a timestep scaling > 0, not %d and %s."
                .formatted(solverSteps, timestepScaling));
      }
    }

    @Override
    public int points() {
      return 2;
    }

    @Override
    public int further() {
      return 4;
    }

    @Override
    public boolean usesAverage() {
      return true;
    }

    @Override
    public Row draw(RandomGenerator random, TrainingLevels levels, PredictionTarget target) {
      if (solverSteps > levels.count()) {
        throw new IllegalArgumentException(
            "Consistency distillation with %d solver steps; the model has %d noise levels."
                .formatted(solverSteps, levels.count()));
      }
      return row(levels, random.nextInt(solverSteps));
    }

    /**
     * @param index of the solver's step, from the least noise
     */
    Row row(TrainingLevels levels, int index) {
      int skipped = levels.count() / solverSteps;
      int from = (index + 1) * skipped - 1;
      int to = Math.max(0, from - skipped);
      double start = levels.timestep(from);
      double end = levels.timestep(to);
      return new Row(
          from,
          1,
          new Point[] {Point.of(levels, from), Point.of(levels, to)},
          skip(start),
          out(start),
          skip(end),
          out(end));
    }

    private double skip(double timestep) {
      double scaled = timestep * timestepScaling;
      return SIGMA_DATA * SIGMA_DATA / (scaled * scaled + SIGMA_DATA * SIGMA_DATA);
    }

    private double out(double timestep) {
      double scaled = timestep * timestepScaling;
      return scaled / Math.sqrt(scaled * scaled + SIGMA_DATA * SIGMA_DATA);
    }

    @Override
    public Value loss(Teaching t) {
      Method m = t.method();
      Value noisy = t.noisy(0);
      Value answer = bounded(t, t.said(t.student(noisy, 0), noisy, 0), noisy, 0);
      Value next = m.detach(t.step(t.said(t.teacher(noisy, 0), noisy, 0), 1));
      Value wanted = bounded(t, t.said(t.average(next, 1), next, 1), next, 2);
      return t.distance(answer, m.detach(wanted));
    }

    private static Value bounded(Teaching t, Predicted said, Value noisy, int further) {
      Method m = t.method();
      return m.add(
          m.multiply(t.more(further), noisy), m.multiply(t.more(further + 1), said.clean()));
    }
  }

  /**
   * Progressive distillation (Salimans and Ho 2022): one step of the student does what two DDIM
   * steps of the teacher do. Levels are those of DDIM with {@code timestep_spacing} trailing, so
   * the first is the noisiest, and the last step ends without noise.
   *
   * @param studentSteps steps that the student will need; the teacher is asked for twice as many
   */
  record Progressive(int studentSteps, Scales scales) implements Distillation {
    public Progressive {
      if (studentSteps < 1) {
        throw new IllegalArgumentException(
            "A student of %d steps; expected at least 1.".formatted(studentSteps));
      }
    }

    @Override
    public int points() {
      return 3;
    }

    @Override
    public Row draw(RandomGenerator random, TrainingLevels levels, PredictionTarget target) {
      return row(levels, target, 1 + random.nextInt(studentSteps));
    }

    /**
     * @param step of the student, counted from the last one, which is 1
     */
    Row row(TrainingLevels levels, PredictionTarget target, int step) {
      if (target == PredictionTarget.EPSILON || target == PredictionTarget.FLOW) {
        throw new IllegalArgumentException(
            "Progressive distillation of a model that predicts %s; expected v_prediction or sample, since at pure noise the noise says nothing of the image."
                .formatted(target.predictionType()));
      }
      int count = levels.count();
      if (count % (2 * studentSteps) != 0) {
        throw new IllegalArgumentException(
            "Progressive distillation to %d steps; the model's %d noise levels must be a multiple of twice that, so that DDIM steps from one level to the next."
                .formatted(studentSteps, count));
      }
      int half = count / (2 * studentSteps);
      int from = step * 2 * half - 1;
      int to = from - 2 * half;
      Point end = to < 0 ? new Point(1, 0, 0) : Point.of(levels, to);
      double snr = levels.snr(from);
      // "Truncated SNR": the larger of the errors of image and noise.
      double weight =
          target == PredictionTarget.SAMPLE ? Math.max(1, snr) : Math.max(1, snr) / (snr + 1);
      return new Row(
          from, weight, new Point[] {Point.of(levels, from), Point.of(levels, from - half), end});
    }

    @Override
    public Value loss(Teaching t) {
      Method m = t.method();
      Value noisy = t.noisy(0);
      Value middle = t.step(t.said(t.teacher(noisy, 0), noisy, 0), 1);
      Value end = t.step(t.said(t.teacher(middle, 1), middle, 1), 2);
      // The image from which one step of DDIM leads to the same end.
      Value ratio = m.divide(t.level(2), t.level(0));
      Value clean =
          m.divide(
              m.subtract(end, m.multiply(ratio, noisy)),
              m.subtract(t.signal(2), m.multiply(ratio, t.signal(0))));
      Value noise = m.divide(m.subtract(noisy, m.multiply(t.signal(0), clean)), t.level(0));
      Value wanted = new Predicted(clean, noise).as(m, t.target(), t.signal(0), t.level(0));
      return t.distance(t.student(noisy, 0), m.detach(wanted));
    }
  }

  /**
   * Guidance distillation (Meng et al. 2023, stage one): one call of the student says what the
   * teacher says with two, one of them for the empty prompt.
   *
   * @param weight of the loss at a level
   */
  record Guidance(Scales scales, LossWeight weight) implements Distillation {
    public Guidance {
      if (!scales.guides()) {
        throw new IllegalArgumentException(
            "Guidance distillation up to a scale of %s; expected more than 1, which is no guidance."
                .formatted(scales.greatest()));
      }
    }

    @Override
    public int points() {
      return 1;
    }

    @Override
    public Row draw(RandomGenerator random, TrainingLevels levels, PredictionTarget target) {
      return anywhere(random.nextInt(levels.count()), weight, levels, target);
    }

    @Override
    public Value loss(Teaching t) {
      Value noisy = t.noisy(0);
      return t.distance(t.student(noisy, 0), t.method().detach(t.teacher(noisy, 0)));
    }
  }

  /**
   * A smaller network learns the data, its teacher's predictions, and what comes out of the
   * teacher's blocks (Kim et al. 2023, BK-SDM).
   *
   * @param data how much the loss of the data counts
   * @param output how much the distance from the teacher's prediction counts
   * @param blocks how much the mean squared distances of the blocks' outputs count; blocks of
   *     another width than the teacher's are left out
   * @param weight of the first two at a level
   */
  record Pruned(double data, double output, double blocks, LossWeight weight)
      implements Distillation {
    public Pruned {
      if (!(data >= 0 && output >= 0 && blocks >= 0 && data + output + blocks > 0)) {
        throw new IllegalArgumentException(
            "A pruned student's weights are %s, %s and %s; expected at least 0, and not all 0."
                .formatted(data, output, blocks));
      }
    }

    @Override
    public Scales scales() {
      return Scales.NONE;
    }

    @Override
    public int points() {
      return 1;
    }

    @Override
    public Row draw(RandomGenerator random, TrainingLevels levels, PredictionTarget target) {
      return anywhere(random.nextInt(levels.count()), weight, levels, target);
    }

    @Override
    public Value loss(Teaching t) {
      Method m = t.method();
      Value noisy = t.noisy(0);
      Value said = t.student(noisy, 0);
      Value taught = t.teacher(noisy, 0);
      Value wanted = new Predicted(t.clean(), t.noise()).as(m, t.target(), t.signal(0), t.level(0));
      Value loss =
          m.add(
              m.multiply(t.distance(said, wanted), data),
              m.multiply(t.distance(said, m.detach(taught)), output));
      if (blocks > 0) {
        Map<Value, Value> pairs = BlockOutputs.pairs(m.graph(), said, taught);
        for (Map.Entry<Value, Value> pair : pairs.entrySet()) {
          Value apart = m.subtract(m.toFloat(pair.getKey()), m.detach(m.toFloat(pair.getValue())));
          loss = m.add(loss, m.multiply(m.mean(m.multiply(apart, apart)), blocks / pairs.size()));
        }
      }
      return loss;
    }
  }

  private static Row anywhere(
      int level, LossWeight weight, TrainingLevels levels, PredictionTarget target) {
    return new Row(level, weight.at(levels, level, target), new Point[] {Point.of(levels, level)});
  }
}
