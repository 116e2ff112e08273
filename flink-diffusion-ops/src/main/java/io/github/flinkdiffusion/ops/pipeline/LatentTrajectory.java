package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import java.util.List;

/**
 * A request of {@link StableDiffusionPipeline} on its way from noise to latent; all of it is on the
 * heap.
 */
final class LatentTrajectory implements Trajectory {
  private final GenerationRequest request;
  private final String modelDigest;
  private final SamplerState state;
  private final TorchGenerator generator;
  private final List<PromptEncoding> conditions;
  private final LatentShape shape;

  /**
   * @param unconditional encoding of the negative prompt, null without guidance
   */
  LatentTrajectory(
      GenerationRequest request,
      String modelDigest,
      SamplerState state,
      TorchGenerator generator,
      PromptEncoding conditional,
      PromptEncoding unconditional,
      LatentShape shape) {
    this.request = request;
    this.modelDigest = modelDigest;
    this.state = state;
    this.generator = generator;
    this.conditions =
        unconditional == null ? List.of(conditional) : List.of(unconditional, conditional);
    this.shape = shape;
  }

  @Override
  public GenerationRequest request() {
    return request;
  }

  @Override
  public int step() {
    return state.call();
  }

  @Override
  public int totalSteps() {
    return state.plan().calls();
  }

  @Override
  public boolean done() {
    return state.done();
  }

  @Override
  public int rows() {
    return conditions.size();
  }

  @Override
  public Object batchKey() {
    return shape;
  }

  @Override
  public TrajectorySnapshot snapshot() {
    return new TrajectorySnapshot(
        request, modelDigest, state.call(), state.sample(), state.history(), generator.saveState());
  }

  LatentShape shape() {
    return shape;
  }

  SamplerState state() {
    return state;
  }

  double timestep() {
    return state.plan().timestep(state.call());
  }

  /**
   * What each row is conditioned on: the negative prompt first, if there is guidance, then the
   * prompt.
   */
  List<PromptEncoding> conditions() {
    return conditions;
  }

  boolean truncated() {
    return conditions.stream().anyMatch(PromptEncoding::truncated);
  }

  /**
   * What the network predicts for this trajectory, guidance applied.
   *
   * @param output of the network for the whole batch
   * @param offset where this trajectory's rows begin in it
   * @return null when the prediction holds NaN or infinity
   */
  float[] prediction(float[] output, int offset) {
    int size = shape.size();
    float[] prediction = new float[size];
    // Classifier-free guidance, equation 6 of Ho & Salimans 2022 as diffusers writes it: u + w (c -
    // u).
    float guidance = (float) request.guidanceScale();
    boolean guided = conditions.size() > 1;
    for (int i = 0; i < size; i++) {
      float first = output[offset + i];
      float value = guided ? first + guidance * (output[offset + size + i] - first) : first;
      if (!Float.isFinite(value)) {
        return null;
      }
      prediction[i] = value;
    }
    return prediction;
  }

  void advance(float[] prediction) {
    state.advance(prediction, generator);
  }
}
