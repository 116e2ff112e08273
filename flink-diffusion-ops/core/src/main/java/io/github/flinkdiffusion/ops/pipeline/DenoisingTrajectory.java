/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import java.util.List;

/**
 * A request on its way from noise to a finished sample; all of it is on the heap. It moves in two
 * parts, {@link #next} and {@link #become}, so that of a batch either all move or none.
 */
final class DenoisingTrajectory implements Trajectory {
  private final GenerationRequest request;
  private final Basis basis;
  private final Beginning beginning;
  private SamplerState state;
  private TrajectoryNoise noise;

  /** State of the noise; written once a draw rather than once a snapshot. */
  private byte[] savedNoise;

  /**
   * @param state where it is now; the beginning's own, or a restored one
   * @param noise as it is now
   */
  DenoisingTrajectory(
      GenerationRequest request,
      Basis basis,
      Beginning beginning,
      SamplerState state,
      TrajectoryNoise noise) {
    this.request = request;
    this.basis = basis;
    this.beginning = beginning;
    this.state = state;
    this.noise = noise;
    this.savedNoise = noise.saveState();
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
    return conditions().size();
  }

  /**
   * What is decoded together is of one size, which a mask's sample does not say: it is as large as
   * the network wants, the picture as the image.
   *
   * @param tokens see {@link Row#tokens}
   */
  private record BatchKey(SampleShape shape, int width, int height, int tokens) {}

  @Override
  public Object batchKey() {
    return new BatchKey(
        beginning.shape(),
        request.width(),
        request.height(),
        beginning.conditions().conditional().tokens());
  }

  @Override
  public TrajectorySnapshot snapshot() {
    return new TrajectorySnapshot(
        request, basis, state.call(), state.sample(), state.history(), savedNoise);
  }

  @Override
  public int previewSize() {
    return Preview.small(beginning.shape()).size();
  }

  /** What it has come to. */
  Sample sample() {
    return new Sample(request, beginning.conditions().rows(), beginning.shape(), state.sample());
  }

  SampleShape shape() {
    return beginning.shape();
  }

  SamplerState state() {
    return state;
  }

  double timestep() {
    return state.plan().timestep(state.call());
  }

  List<Row> conditions() {
    return beginning.conditions(state.call()).rows();
  }

  boolean truncated() {
    return beginning.conditions().truncated();
  }

  /**
   * What the network predicts for this trajectory, guidance applied.
   *
   * @param output of the network for the whole batch
   * @param offset where this trajectory's rows begin in it
   * @param size values of one row of the output
   * @return null when the prediction holds NaN or infinity
   */
  float[] prediction(float[] output, int offset, int size) {
    float[] prediction =
        beginning.conditions(state.call()).guidance().combine(output, offset, size);
    for (float value : prediction) {
      if (!Float.isFinite(value)) {
        return null;
      }
    }
    return prediction;
  }

  /** Where the trajectory is after one more step. */
  record Next(SamplerState state, TrajectoryNoise noise, byte[] savedNoise) {}

  /** The next step; changes nothing. */
  Next next(float[] prediction) {
    boolean draws = state.plan().needsNoise(state.call());
    TrajectoryNoise nextNoise = draws ? noise.copy() : noise;
    SamplerState nextState = state.copy();
    nextState.advance(prediction, nextNoise.shaped(shape()));
    beginning.known().ifPresent(known -> known.putBack(nextState));
    return new Next(nextState, nextNoise, draws ? nextNoise.saveState() : savedNoise);
  }

  /** Goes to where {@link #next} leads; does not fail. */
  void become(Next next) {
    state = next.state();
    noise = next.noise();
    savedNoise = next.savedNoise();
  }
}
