/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.noise.NoiseSource;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * One trajectory's place on its way from noise to image: the sample, what a multistep solver
 * remembers, and the number of network calls made. These, with the noise source's own state, are
 * all there is to save; {@link #restore} goes on from them bit for bit.
 *
 * <p>The update runs on the heap: a latent is 16 to 256 KiB and a network call costs a thousand
 * times as much, so nothing is gained on the device, while a trajectory that <em>is</em> its heap
 * arrays checkpoints without a device copy and is independent of the batch it shares.
 *
 * <p>The arrays are never written to again once they are part of a state: each call makes new ones.
 * So what {@link #sample} and {@link #history} return may be kept as it is, by any thread, and
 * stays what it was however far the trajectory moves on. The state itself is not thread-safe.
 */
@Internal
public final class SamplerState {

  private final SamplingPlan plan;
  private int call;
  private float[] x;
  private float[][] history;

  private SamplerState(SamplingPlan plan, int call, float[] x, float[][] history) {
    this.plan = plan;
    this.call = call;
    this.x = x;
    this.history = history;
  }

  /**
   * Starts from pure noise.
   *
   * @param standardNormalNoise the first draw of the trajectory; copied
   */
  public static SamplerState start(SamplingPlan plan, float[] standardNormalNoise) {
    return new SamplerState(
        plan, 0, scaled(standardNormalNoise, plan.initNoiseSigma()), new float[0][]);
  }

  /**
   * Starts from an image, noised to the level of the plan's first call (image-to-image; see {@link
   * SamplingOptions#skippedSteps()}).
   *
   * @param image the clean sample (a latent, as a rule); copied
   * @param standardNormalNoise as many values as the image has
   */
  public static SamplerState startFrom(
      SamplingPlan plan, float[] image, float[] standardNormalNoise) {
    requireLength("the noise for image-to-image", standardNormalNoise, image.length);
    float[] mixed = new float[image.length];
    for (int i = 0; i < mixed.length; i++) {
      mixed[i] =
          (float) (plan.signalLevel(0) * image[i] + plan.noiseLevel(0) * standardNormalNoise[i]);
    }
    return new SamplerState(plan, 0, mixed, new float[0][]);
  }

  /**
   * Continues a saved trajectory.
   *
   * @param plan equal to the plan it was saved under
   * @param call {@link #call()} when it was saved
   * @param x {@link #sample()} when it was saved; not copied, nobody may write to it any more
   * @param history {@link #history()} when it was saved; as {@code x}
   * @throws SchedulerException when these cannot belong together
   */
  public static SamplerState restore(SamplingPlan plan, int call, float[] x, float[][] history) {
    if (call < 0 || call > plan.calls()) {
      throw new SchedulerException(
          "Restoring a trajectory: call " + call + " is outside 0.." + plan.calls());
    }
    if (history.length != plan.historyLength(call)) {
      throw new SchedulerException(
          String.format(
              "Restoring a trajectory: %d remembered arrays, the plan has %d before call %d of %d",
              history.length, plan.historyLength(call), call, plan.calls()));
    }
    for (int i = 0; i < history.length; i++) {
      requireLength("remembered array " + i, history[i], x.length);
    }
    return new SamplerState(plan, call, x, history);
  }

  /** Another one at the same place, which moves on by itself. Cheap: the arrays are shared. */
  public SamplerState copy() {
    return new SamplerState(plan, call, x, history);
  }

  public SamplingPlan plan() {
    return plan;
  }

  /** How many network calls have been made, 0..{@code plan.calls()}: the call to make next. */
  public int call() {
    return call;
  }

  public boolean done() {
    return call == plan.calls();
  }

  /** How many values the sample has. */
  public int size() {
    return x.length;
  }

  /** The current sample; read only, and never changed any more. */
  public float[] sample() {
    return x;
  }

  /**
   * What is remembered between calls, newest first; empty for one-step samplers. Read only, and
   * never changed any more.
   */
  public float[][] history() {
    return history;
  }

  /**
   * Puts another sample in place of the current one; what is remembered stays. Inpainting does so
   * after each step, for the part that is known.
   *
   * @param sample {@link #size()} values; not copied, nobody may write to it any more
   */
  public void replaceSample(float[] sample) {
    requireLength("the sample that replaces another", sample, x.length);
    x = sample;
  }

  /** What the network is shown at this call: the sample times c_in, in a fresh array. */
  public float[] modelInput() {
    float[] input = new float[x.length];
    modelInput(input, 0);
    return input;
  }

  /** Writes what the network is shown at this call into a batch's array, from {@code offset} on. */
  public void modelInput(float[] target, int offset) {
    double scale = plan.inputScale(call);
    for (int i = 0; i < x.length; i++) {
      target[offset + i] = (float) (scale * x[i]);
    }
  }

  /**
   * Moves the sample by one network call. When this throws, nothing has changed but the noise.
   *
   * @param modelOutput what the network made of {@link #modelInput()}, guidance applied; {@link
   *     #size()} times {@link SamplingPlan#outputFactor()} values, read only, not kept
   * @param noise asked once for {@link #size()} values when {@code plan.needsNoise(call())}, else
   *     not at all
   */
  public void advance(float[] modelOutput, NoiseSource noise) {
    if (done()) {
      throw new SchedulerException(
          "Advancing a trajectory: all " + plan.calls() + " calls have been made");
    }
    requireLength(
        "the network's output at call " + call, modelOutput, x.length * plan.outputFactor());
    Step step = plan.step(call);
    float[][] basis = new float[Linear.WIDTH][];
    basis[Linear.SAMPLE] = x;
    basis[Linear.OUTPUT] = modelOutput;
    System.arraycopy(history, 0, basis, Linear.REMEMBERED, history.length);
    if (step.drawsNoise()) {
      float[] drawn = noise.gaussian(x.length);
      requireLength("the noise at call " + call, drawn, x.length);
      if (step.correction() != null) {
        basis[Linear.LIMITED] = step.correction().of(modelOutput, drawn);
      }
      if (step.learnedVariance() != null) {
        step.learnedVariance().scale(drawn, modelOutput);
      }
      basis[Linear.NOISE] = drawn;
    }
    if (step.path() != null) {
      basis[Linear.NOISE] = step.path().noise(x.length);
    }
    if (step.limit() != Limit.NONE) {
      float[] limited = new float[x.length];
      step.prediction().evaluate(basis, limited);
      step.limit().apply(limited);
      basis[Linear.LIMITED] = limited;
    }
    float[] nextX = new float[x.length];
    step.next().evaluate(basis, nextX);
    if (step.known() != null) {
      step.known().apply(nextX, knownPart(), basis[Linear.NOISE], noise);
    }
    float[][] nextHistory = remembered(step.memory(), basis);
    x = nextX;
    history = nextHistory;
    call++;
  }

  private KnownPart knownPart() {
    if (plan.known() == null) {
      throw new SchedulerException(
          "Advancing a trajectory: the plan puts a known part of an image back, and was given none; it needs an image"
              + " and a mask");
    }
    requireLength("the known image", plan.known().image(), x.length);
    return plan.known();
  }

  private static float[][] remembered(List<WeightedSum> memory, float[][] basis) {
    float[][] remembered = new float[memory.size()][];
    for (int i = 0; i < remembered.length; i++) {
      WeightedSum sum = memory.get(i);
      int alias = sum.alias();
      // The output belongs to the caller; every other array is ours and stays as it is.
      if (alias >= 0 && alias != Linear.OUTPUT) {
        remembered[i] = basis[alias];
      } else {
        remembered[i] = new float[basis[Linear.SAMPLE].length];
        sum.evaluate(basis, remembered[i]);
      }
    }
    return remembered;
  }

  private static float[] scaled(float[] values, double factor) {
    float[] scaled = new float[values.length];
    for (int i = 0; i < scaled.length; i++) {
      scaled[i] = (float) (factor * values[i]);
    }
    return scaled;
  }

  private static void requireLength(String what, float[] values, int length) {
    if (values.length != length) {
      throw new SchedulerException(
          "Sampling: " + what + " has " + values.length + " values, it must have " + length);
    }
  }
}
