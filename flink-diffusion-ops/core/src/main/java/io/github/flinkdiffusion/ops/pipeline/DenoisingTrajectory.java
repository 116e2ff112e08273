/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SchedulerException;
import java.util.Arrays;
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

  /** Calls from one that computes the whole network to the next, at most. */
  private final int interval;

  /** Change above which a call computes it; 0 where the interval alone decides. */
  private final double threshold;

  /** How calls that compute nothing continue whole ones; empty where none does. */
  private final Optional<Extrapolation> extrapolation;

  /** The series that these continue, of its own rows one after another; never written to. */
  private float[][] factors;

  /** Where it was before the last whole call, whose features its next call reuses; else null. */
  private Place whole;

  private Optional<Features> features = Optional.empty();

  private record Place(SamplerState state, byte[] savedNoise) {}

  /**
   * @param state where it is now; the beginning's own, or a restored one
   * @param noise as it is now
   * @param factors of the series that its calls continue, as {@link #snapshot} has them
   * @throws SchedulerException if these are not as many as they are then
   */
  DenoisingTrajectory(
      GenerationRequest request,
      Basis basis,
      Beginning beginning,
      SamplerState state,
      TrajectoryNoise noise,
      float[][] factors) {
    this.request = request;
    this.basis = basis;
    this.beginning = beginning;
    this.state = state;
    this.noise = noise;
    this.savedNoise = noise.saveState();
    Long asked = request.get(Parameters.CACHE_INTERVAL);
    this.interval = asked == null ? 1 : Math.toIntExact(asked);
    Double change = request.get(Parameters.CACHE_THRESHOLD);
    this.threshold = change == null ? 0 : change;
    this.extrapolation = Extrapolation.of(request);
    this.factors = factors;
    requireFactors();
  }

  private void requireFactors() {
    int expected = done() ? 0 : extrapolation.map(each -> each.factors(callOfSame())).orElse(0);
    if (factors.length != expected) {
      throw new SchedulerException(
          "Restoring a trajectory: %d arrays of a series at call %d, where %d are expected"
              .formatted(factors.length, state.call(), expected));
    }
    for (float[] each : factors) {
      if (each == null || each.length != factors[0].length || each.length % rows() != 0) {
        throw new SchedulerException(
            "Restoring a trajectory: an array of a series at call %d is not as long as the others, or no multiple of %d rows"
                .formatted(state.call(), rows()));
      }
    }
  }

  /** The next call's number, counted from the first with its conditions. */
  private int callOfSame() {
    return callOfSame(state);
  }

  private int callOfSame(SamplerState at) {
    return at.call() - beginning.sameConditionsSince(at.call());
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
   * @param kind of the next call: a call's rows all compute the same
   */
  private record BatchKey(SampleShape shape, int width, int height, int tokens, Kind kind) {}

  @Override
  public Object batchKey() {
    return new BatchKey(
        beginning.shape(),
        request.width(),
        request.height(),
        beginning.conditions().conditional().tokens(),
        done() ? Kind.WHOLE : kind());
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
        withFactors(at.state().history()),
        at.savedNoise());
  }

  private float[][] withFactors(float[][] history) {
    float[][] both = Arrays.copyOf(history, history.length + factors.length);
    System.arraycopy(factors, 0, both, history.length, factors.length);
    return both;
  }

  /** What a call computes. */
  enum Kind {
    /** The whole network. */
    WHOLE,
    /** What features of the last whole call do not make needless. */
    SHALLOW,
    /** The same, and whether they still hold; where they do not, the whole network. */
    DECIDING,
    /** Nothing: what whole calls gave is continued. */
    CONTINUED
  }

  /** Of the next call. */
  Kind kind() {
    if (extrapolation.isPresent()) {
      return extrapolation.get().whole(callOfSame()) ? Kind.WHOLE : Kind.CONTINUED;
    }
    if (whole == null || whole(state.call(), whole.state().call())) {
      return Kind.WHOLE;
    }
    return threshold > 0 ? Kind.DECIDING : Kind.SHALLOW;
  }

  /**
   * Whether the request alone decides that a call computes the whole network: each interval of
   * calls with the same conditions begins with such a one. Where a threshold decides, the interval
   * begins with the last one.
   */
  private boolean whole(int call, int last) {
    int since = beginning.sameConditionsSince(call);
    return threshold > 0 ? since > last || call - last >= interval : (call - since) % interval == 0;
  }

  /**
   * Whether the call after the next one reuses features of the next one, if that computes the whole
   * network.
   */
  boolean leavesFeatures() {
    int following = state.call() + 1;
    return extrapolation.isEmpty()
        && kind() != Kind.SHALLOW
        && following < totalSteps()
        && !whole(following, state.call());
  }

  /**
   * Whether what the first blocks add has changed by more than the threshold since the last whole
   * call, all rows together, as diffusers' FirstBlockCache has it.
   *
   * @param numbers see {@link io.github.flinkdiffusion.ops.network.CachingNetwork#decidingGraph}
   * @param offset where this trajectory's rows begin in them
   * @param stride from a row to the next
   */
  boolean hasChanged(float[] numbers, int offset, int stride) {
    double change = 0;
    double before = 0;
    for (int row = 0; row < rows(); row++) {
      change += numbers[offset + row * stride];
      before += numbers[offset + row * stride + 1];
    }
    return change / before > threshold;
  }

  /** Numbers of all rows of what {@link #continueSeries} writes. */
  int continuedSize() {
    return factors[0].length;
  }

  /** Writes what the next call would give, all rows, into zeros from an offset on. */
  void continueSeries(float[] target, int offset) {
    extrapolation.orElseThrow().predict(callOfSame(), factors, target, offset);
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
        beginning
            .conditions(state.call())
            .guidance()
            .at(state.plan().timestep(state.call()))
            .combine(output, offset, size);
    for (float value : prediction) {
      if (!Float.isFinite(value)) {
        return null;
      }
    }
    return prediction;
  }

  /** Where the trajectory is after one more step. */
  record Next(
      SamplerState state,
      TrajectoryNoise noise,
      byte[] savedNoise,
      Denoiser.Left left,
      float[][] factors) {}

  /**
   * The next step; changes nothing.
   *
   * @param output of the network for the whole batch, see {@link #prediction}
   * @param left by the call
   */
  Next next(float[] prediction, float[] output, int offset, int size, Denoiser.Left left) {
    boolean draws = state.plan().needsNoise(state.call());
    TrajectoryNoise nextNoise = draws ? noise.copy() : noise;
    SamplerState nextState = state.copy();
    nextState.advance(prediction, nextNoise.shaped(shape()));
    beginning.known().ifPresent(known -> known.putBack(nextState));
    float[][] nextFactors = factors;
    if (nextState.done() || callOfSame(nextState) == 0) {
      nextFactors = Extrapolation.NONE;
    } else if (extrapolation.isPresent() && left.whole()) {
      float[] own = Arrays.copyOfRange(output, offset, offset + rows() * size);
      nextFactors = extrapolation.get().updated(callOfSame(), factors, own);
    }
    return new Next(
        nextState, nextNoise, draws ? nextNoise.saveState() : savedNoise, left, nextFactors);
  }

  /** Goes to where {@link #next} leads; does not fail. */
  void become(Next next) {
    if (next.left().whole()) {
      boolean leaves = leavesFeatures();
      close();
      if (leaves) {
        whole = new Place(state, savedNoise);
        features = next.left().features();
      }
    }
    factors = next.factors();
    state = next.state();
    noise = next.noise();
    savedNoise = next.savedNoise();
    if (done() || kind() == Kind.WHOLE) {
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
