/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Collects a plan call by call. A scheduler opens a {@link Call}, writes its formulas with the
 * {@link Linear}s that the call hands out, and closes it with {@link Call#next}.
 */
final class PlanBuilder {

  private final Fields fields;
  private final int inferenceSteps;
  private final double initNoiseSigma;
  private final List<Step> steps = new ArrayList<>();
  private int remembered;
  private int outputFactor = 1;

  PlanBuilder(Fields fields, int inferenceSteps, double initNoiseSigma) {
    this.fields = fields;
    this.inferenceSteps = inferenceSteps;
    this.initNoiseSigma = initNoiseSigma;
  }

  Call call(double timestep) {
    return new Call(timestep);
  }

  /**
   * Declares that the network's output is twice as long as the sample: the prediction, then its
   * variance.
   */
  void outputHasVariance() {
    outputFactor = 2;
  }

  SamplingPlan build() {
    if (steps.isEmpty()) {
      throw new SchedulerException(
          "%s: %s with %d steps has nothing left to do: the config clips the noisiest timesteps, and those that"
                  .formatted(fields.source(), fields.className(), inferenceSteps)
              + " are left are skipped; supported: fewer skipped steps, or a greater strength");
    }
    // Nothing follows the last call, so nothing need be remembered from it.
    int last = steps.size() - 1;
    steps.set(last, steps.get(last).withoutMemory());
    return new SamplingPlan(initNoiseSigma, outputFactor, steps);
  }

  /** One network call under construction. */
  final class Call {

    private final double timestep;
    private double inputScale = 1;
    private double signal = Double.NaN;
    private double noiseLevel = Double.NaN;
    private Linear prediction = Linear.ZERO;
    private Limit limit = Limit.NONE;
    private boolean drawsNoise;
    private LearnedVariance learnedVariance;
    private BrownianStep path;
    private Correction correction;
    private KnownStep known;

    private Call(double timestep) {
      this.timestep = timestep;
    }

    /** The factor from sample to network input; 1 unless set. */
    Call inputScale(double scale) {
      this.inputScale = scale;
      return this;
    }

    /** How a clean image and noise mix to a sample at this call. */
    Call level(double signal, double noise) {
      this.signal = signal;
      this.noiseLevel = noise;
      return this;
    }

    Linear x() {
      return Linear.of(Linear.SAMPLE);
    }

    Linear out() {
      return Linear.of(Linear.OUTPUT);
    }

    /** Fresh noise: asking for it makes the step draw, whatever weight it gets. */
    Linear noise() {
      drawsNoise = true;
      return Linear.of(Linear.NOISE);
    }

    /** Noise of a path that the config seeds; the trajectory's noise source is not asked. */
    Linear noise(BrownianStep by) {
      this.path = by;
      return Linear.of(Linear.NOISE);
    }

    /** A step along the output, with noise, as long as their sizes say. */
    Linear corrected(Correction by) {
      this.correction = by;
      this.drawsNoise = true;
      return Linear.of(Linear.LIMITED);
    }

    /** What is done after the step for the part of the image that is known. */
    Call known(KnownStep known) {
      this.known = known;
      return this;
    }

    /** Fresh noise, scaled by the variance that the network predicts. */
    Linear noise(LearnedVariance by) {
      this.learnedVariance = by;
      return noise();
    }

    /** What the call before left, newest first. */
    Linear h(int index) {
      if (index >= remembered) {
        throw new IllegalStateException(
            "Call " + steps.size() + " asks for remembered array " + index + " of " + remembered);
      }
      return Linear.of(Linear.REMEMBERED + index);
    }

    /** All that the call before left, newest first. */
    List<Linear> history() {
      return IntStream.range(0, remembered).mapToObj(this::h).toList();
    }

    /**
     * The prediction after the config's limit; without a limit it dissolves in the formula that
     * uses it.
     */
    Linear limited(Linear unlimited, Limit by) {
      if (by == Limit.NONE) {
        return unlimited;
      }
      this.prediction = unlimited;
      this.limit = by;
      return Linear.of(Linear.LIMITED);
    }

    void next(Linear sample, Linear... memory) {
      next(sample, Arrays.asList(memory));
    }

    void next(Linear sample, List<Linear> memory) {
      if (memory.size() > Linear.MAX_REMEMBERED) {
        throw new IllegalStateException(
            "Call " + steps.size() + " remembers " + memory.size() + " arrays");
      }
      boolean finite =
          prediction.isFinite()
              && sample.isFinite()
              && memory.stream().allMatch(Linear::isFinite)
              && Double.isFinite(timestep)
              && Double.isFinite(inputScale);
      if (!finite) {
        throw new SchedulerException(
            String.format(
                "%s: %s with %d steps has no finite coefficients at network call %d (timestep %s): the config asks for a"
                    + " division by zero there, as epsilon prediction does at zero signal, or as many steps as repeat a"
                    + " timestep; supported: another prediction_type, timestep_spacing or number of steps",
                fields.source(), fields.className(), inferenceSteps, steps.size(), timestep));
      }
      steps.add(
          new Step(
              timestep,
              inputScale,
              signal,
              noiseLevel,
              prediction.compile(),
              limit,
              sample.compile(),
              memory.stream().map(Linear::compile).toList(),
              drawsNoise,
              learnedVariance,
              path,
              correction,
              known));
      remembered = memory.size();
    }
  }
}
