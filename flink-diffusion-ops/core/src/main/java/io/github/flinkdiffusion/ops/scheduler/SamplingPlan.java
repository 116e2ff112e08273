/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * A scheduler, its config and a step count, compiled: for every network call a timestep and a
 * handful of coefficients.
 *
 * <p>A plan is a value. It is immutable, equal plans have equal numbers, and it may be cached and
 * used by any number of trajectories and threads at once; everything that changes while sampling is
 * in {@link SamplerState}.
 *
 * <p>A plan has as many calls as the network must be called, which is not always the number of
 * steps asked for: second-order solvers call twice a step (Heun: 2n - 1 calls), PNDM starts with
 * extra calls.
 */
@Internal
public final class SamplingPlan {

  private final double initNoiseSigma;
  private final int outputFactor;
  private final List<Step> steps;

  /** Null while nothing of the image is known. */
  private final KnownPart known;

  SamplingPlan(double initNoiseSigma, int outputFactor, List<Step> steps) {
    this(initNoiseSigma, outputFactor, steps, null);
  }

  private SamplingPlan(double initNoiseSigma, int outputFactor, List<Step> steps, KnownPart known) {
    this.initNoiseSigma = initNoiseSigma;
    this.outputFactor = outputFactor;
    this.steps = List.copyOf(steps);
    this.known = known;
  }

  /** How many times the network is called, at least 1. */
  public int calls() {
    return steps.size();
  }

  /** What the network is told as its timestep at a call. Not always a whole number. */
  public double timestep(int call) {
    return step(call).timestep();
  }

  /** The factor c_in by which the sample is multiplied to make the network's input at a call. */
  public double inputScale(int call) {
    return step(call).inputScale();
  }

  /** Standard deviation of the first sample when sampling starts from pure noise. */
  public double initNoiseSigma() {
    return initNoiseSigma;
  }

  /** Whether the update after a call draws from the trajectory's noise source. */
  public boolean needsNoise(int call) {
    return draws(call) > 0;
  }

  /** How often the update after a call draws; more than once where RePaint goes back. */
  public int draws(int call) {
    return step(call).draws();
  }

  /**
   * Whether steps put a known part of the image back, as {@code RePaintScheduler}'s do; {@link
   * #keeping} then says which.
   */
  public boolean needsKnownPart() {
    return steps.stream().anyMatch(step -> step.known() != null);
  }

  /**
   * The same way for one image of which a part is known.
   *
   * @param image as many values as the sample; not copied, nobody may write to it any more
   * @param mask 1 where the image is kept, 0 where it is made anew; as long as the image or as one
   *     channel of it; not copied either
   */
  public SamplingPlan keeping(float[] image, float[] mask) {
    return new SamplingPlan(initNoiseSigma, outputFactor, steps, new KnownPart(image, mask));
  }

  KnownPart known() {
    return known;
  }

  /**
   * Whether the config seeds the steps' noise ({@code noise_sampler_seed}), so that it is the same
   * for every request of a size and follows neither from a seed nor from a place in a larger image.
   */
  public boolean seedsItsOwnNoise() {
    return steps.stream().anyMatch(step -> step.path() != null);
  }

  /** Weight of a clean image in a sample as it is before a call; image-to-image mixes with it. */
  public double signalLevel(int call) {
    return step(call).signal();
  }

  /** Weight of standard noise in a sample as it is before a call. */
  public double noiseLevel(int call) {
    return step(call).noise();
  }

  /**
   * How many arrays the sampler remembers before a call; {@code calls()} itself is allowed and
   * gives 0.
   */
  public int historyLength(int call) {
    return call == 0 ? 0 : step(call - 1).memory().size();
  }

  /**
   * How many times as long as the sample the network's output is: 2 when the config says that the
   * network predicts variances ({@code variance_type} learned or learned_range), which then follow
   * the prediction; else 1.
   */
  public int outputFactor() {
    return outputFactor;
  }

  /**
   * The beginning of this way: of DDIM's inversion, not all the way to noise.
   *
   * @param calls 1 up to {@link #calls()}
   */
  public SamplingPlan first(int calls) {
    if (calls < 1 || calls > calls()) {
      throw new SchedulerException(
          "Shortening a plan: %d calls of %d; it must keep at least one".formatted(calls, calls()));
    }
    List<Step> kept = new ArrayList<>(steps.subList(0, calls));
    kept.set(calls - 1, kept.get(calls - 1).withoutMemory());
    return new SamplingPlan(initNoiseSigma, outputFactor, kept);
  }

  /**
   * This way and then another, whose first sample is this one's last: DDIM's inversion of a picture
   * to noise, then DDIM from there.
   *
   * @param next from noise of standard deviation 1, with an output as long as this one's
   */
  public SamplingPlan then(SamplingPlan next) {
    if (next.initNoiseSigma != 1 || next.outputFactor != outputFactor) {
      throw new SchedulerException(
          "Appending a plan: it begins with noise of deviation %s and takes %d times the sample as output; here it must be 1.0 and %d"
              .formatted(next.initNoiseSigma, next.outputFactor, outputFactor));
    }
    List<Step> all = new ArrayList<>(steps);
    all.addAll(next.steps);
    return new SamplingPlan(initNoiseSigma, outputFactor, all);
  }

  /**
   * This way's calls in another order, some of them more often than once. For calls that remember
   * nothing.
   */
  SamplingPlan inOrder(List<Integer> calls) {
    return new SamplingPlan(
        initNoiseSigma, outputFactor, calls.stream().map(steps::get).toList(), known);
  }

  /**
   * The same way with the noise that its steps draw multiplied; the first sample and the number of
   * draws stay what they are.
   *
   * @param temperature 0 or more: 1 is this plan, 0 leaves the steps' noise out
   * @throws SchedulerException when it is below 0 or not finite
   */
  public SamplingPlan atTemperature(double temperature) {
    if (!(temperature >= 0 && Double.isFinite(temperature))) {
      throw new SchedulerException(
          "Sampling: temperature = " + temperature + ", it must be finite and 0 or more");
    }
    return temperature == 1
        ? this
        : new SamplingPlan(
            initNoiseSigma,
            outputFactor,
            steps.stream().map(step -> step.atTemperature(temperature)).toList(),
            known);
  }

  Step step(int call) {
    return steps.get(call);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof SamplingPlan that
        && initNoiseSigma == that.initNoiseSigma
        && outputFactor == that.outputFactor
        && steps.equals(that.steps)
        && Objects.equals(known, that.known);
  }

  @Override
  public int hashCode() {
    return Objects.hash(initNoiseSigma, outputFactor, steps);
  }

  @Override
  public String toString() {
    return "SamplingPlan[" + calls() + " calls, initNoiseSigma=" + initNoiseSigma + "]";
  }
}
