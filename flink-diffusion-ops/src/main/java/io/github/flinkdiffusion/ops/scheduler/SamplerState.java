package io.github.flinkdiffusion.ops.scheduler;

import io.github.flinkdiffusion.ops.noise.NoiseSource;
import java.util.ArrayDeque;
import java.util.List;

/**
 * One trajectory's place on its way from noise to image: the sample, what a multistep solver
 * remembers, and the number of network calls made. These, with the noise source's own state, are
 * all there is to save; {@link #restore} goes on from them bit for bit.
 *
 * <p>The update runs on the heap: a latent is 16 to 256 KiB and a network call costs a thousand
 * times as much, so nothing is gained on the device, while a trajectory that <em>is</em> its heap
 * arrays checkpoints without a device copy and is independent of the batch it shares. Buffers are
 * reused from call to call. Not thread-safe.
 */
public final class SamplerState {

  private final SamplingPlan plan;
  private final ArrayDeque<float[]> spare = new ArrayDeque<>();
  private final float[][] basis = new float[Linear.WIDTH][];
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
   * @param x {@link #sample()} when it was saved; copied
   * @param history {@link #history()} when it was saved; copied
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
    float[][] remembered = new float[history.length][];
    for (int i = 0; i < history.length; i++) {
      requireLength("remembered array " + i, history[i], x.length);
      remembered[i] = history[i].clone();
    }
    return new SamplerState(plan, call, x.clone(), remembered);
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

  /** A copy of the current sample. */
  public float[] sample() {
    return x.clone();
  }

  /** A copy of what is remembered between calls, newest first; empty for one-step samplers. */
  public float[][] history() {
    float[][] copy = new float[history.length][];
    for (int i = 0; i < copy.length; i++) {
      copy[i] = history[i].clone();
    }
    return copy;
  }

  /**
   * Puts another sample in place of the current one; what is remembered stays. Inpainting does so
   * after each step, for the part that is known.
   *
   * @param sample {@link #size()} values; copied
   */
  public void replaceSample(float[] sample) {
    requireLength("the sample that replaces another", sample, x.length);
    System.arraycopy(sample, 0, x, 0, x.length);
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
   * Moves the sample by one network call.
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
    basis[Linear.SAMPLE] = x;
    basis[Linear.OUTPUT] = modelOutput;
    System.arraycopy(history, 0, basis, Linear.REMEMBERED, history.length);
    if (step.drawsNoise()) {
      float[] drawn = noise.gaussian(x.length);
      requireLength("the noise at call " + call, drawn, x.length);
      if (step.learnedVariance() != null) {
        step.learnedVariance().scale(drawn, modelOutput);
      }
      basis[Linear.NOISE] = drawn;
    }
    if (step.limit() != Limit.NONE) {
      float[] limited = buffer();
      step.prediction().evaluate(basis, limited);
      step.limit().apply(limited);
      basis[Linear.LIMITED] = limited;
    }
    float[] nextX = buffer();
    step.next().evaluate(basis, nextX);
    float[][] nextHistory = remember(step.memory());
    recycle(nextHistory);
    x = nextX;
    history = nextHistory;
    call++;
  }

  private float[][] remember(List<WeightedSum> memory) {
    float[][] remembered = new float[memory.size()][];
    for (int i = 0; i < remembered.length; i++) {
      WeightedSum sum = memory.get(i);
      int alias = sum.alias();
      // The output belongs to the caller; every other array is ours and moves on as it is.
      if (alias >= 0 && alias != Linear.OUTPUT) {
        remembered[i] = basis[alias];
      } else {
        remembered[i] = buffer();
        sum.evaluate(basis, remembered[i]);
      }
    }
    return remembered;
  }

  private void recycle(float[][] kept) {
    basis[Linear.OUTPUT] = null;
    basis[Linear.NOISE] = null;
    for (int i = 0; i < basis.length; i++) {
      float[] array = basis[i];
      basis[i] = null;
      if (array != null && !contains(kept, array)) {
        spare.push(array);
      }
    }
  }

  private static boolean contains(float[][] arrays, float[] wanted) {
    for (float[] array : arrays) {
      if (array == wanted) {
        return true;
      }
    }
    return false;
  }

  private float[] buffer() {
    return spare.isEmpty() ? new float[x.length] : spare.pop();
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
