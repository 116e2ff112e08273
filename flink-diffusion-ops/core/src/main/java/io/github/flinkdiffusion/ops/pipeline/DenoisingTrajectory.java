/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import java.util.List;
import java.util.Optional;

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

  /** Calls from one that computes the whole network to the next. */
  private final int interval;

  /** Where it was before the last whole call, whose features its next call reuses; else null. */
  private Place whole;

  private Optional<Features> features = Optional.empty();

  private record Place(SamplerState state, byte[] savedNoise) {}

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
    Long asked = request.get(Parameters.CACHE_INTERVAL);
    this.interval = asked == null ? 1 : Math.toIntExact(asked);
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
   * @param shallow whether the next call reuses features: a call's rows all compute the same
   */
  private record BatchKey(SampleShape shape, int width, int height, int tokens, boolean shallow) {}

  @Override
  public Object batchKey() {
    return new BatchKey(
        beginning.shape(),
        request.width(),
        request.height(),
        beginning.conditions().conditional().tokens(),
        !done() && !whole());
  }

  /** At the last whole call where the next one needs its features, which are in no snapshot. */
  @Override
  public TrajectorySnapshot snapshot() {
    Place at = whole == null ? new Place(state, savedNoise) : whole;
    return new TrajectorySnapshot(
        request,
        basis,
        at.state().call(),
        at.state().sample(),
        at.state().history(),
        at.savedNoise());
  }

  /**
   * Whether the next call computes the whole network. The request alone decides: each interval of
   * calls with the same conditions begins with a whole one.
   */
  boolean whole() {
    return whole == null || whole(state.call());
  }

  private boolean whole(int call) {
    return (call - beginning.sameConditionsSince(call)) % interval == 0;
  }

  /** Whether the next call is a whole one whose features the one after it reuses. */
  boolean leavesFeatures() {
    int following = state.call() + 1;
    return whole() && following < totalSteps() && !whole(following);
  }

  /** What the last whole call left; empty where there was no room, and before any. */
  Optional<Features> features() {
    return features;
  }

  /** What the next call shows to the network. */
  Denoiser.Shown shown() {
    return new Denoiser.Shown(state, conditions());
  }

  /** What the last whole call showed to it, where the next one reuses its features. */
  Denoiser.Shown shownWhole() {
    return new Denoiser.Shown(whole.state(), beginning.conditions(whole.state().call()).rows());
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
  record Next(
      SamplerState state, TrajectoryNoise noise, byte[] savedNoise, Optional<Features> features) {}

  /**
   * The next step; changes nothing.
   *
   * @param left by the call, see {@link #leavesFeatures}
   */
  Next next(float[] prediction, Optional<Features> left) {
    boolean draws = state.plan().needsNoise(state.call());
    TrajectoryNoise nextNoise = draws ? noise.copy() : noise;
    SamplerState nextState = state.copy();
    nextState.advance(prediction, nextNoise.shaped(shape()));
    beginning.known().ifPresent(known -> known.putBack(nextState));
    return new Next(nextState, nextNoise, draws ? nextNoise.saveState() : savedNoise, left);
  }

  /** Goes to where {@link #next} leads; does not fail. */
  void become(Next next) {
    if (leavesFeatures()) {
      whole = new Place(state, savedNoise);
      features = next.features();
    }
    state = next.state();
    noise = next.noise();
    savedNoise = next.savedNoise();
    if (done() || whole()) {
      close();
    }
  }

  @Override
  public void close() {
    features.ifPresent(Features::close);
    features = Optional.empty();
    whole = null;
  }
}
