/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import java.util.Arrays;
import java.util.List;

/**
 * A request of {@link JointPipeline} on its way: its noise becomes a sample step by step; if that
 * has a text, the text is then written token by token. All of it is on the heap.
 */
final class JointTrajectory implements Trajectory {

  /**
   * A request ready for its first step; all but {@code state} follows from the request alone.
   *
   * @param state the sample: of an image the latent and CLIP's view of it, then the text, each if
   *     it is generated
   * @param latent in place of the sample's where the image is given, or is noise that stays
   * @param image as {@code latent}
   * @param text in place of the sample's where the text is given, or is noise that stays
   */
  record Start(
      JointMode mode,
      SamplerState state,
      float[] latent,
      float[] image,
      float[] text,
      boolean truncated) {}

  /** What must be equal for requests to share a call. */
  private enum Phase {
    DENOISING,
    WRITING,
    DONE_IMAGE,
    DONE_TEXT
  }

  private final GenerationRequest request;
  private final Basis basis;
  private final JointNetworks networks;
  private final Start start;
  private SamplerState state;
  private TrajectoryNoise noise;
  private byte[] savedNoise;
  private List<AverageBeams.Beam> beams;

  /**
   * @param state where it is now; the start's own, or a restored one
   * @param noise as it is now
   * @param beams of the text; none before its first token
   */
  JointTrajectory(
      GenerationRequest request,
      Basis basis,
      JointNetworks networks,
      Start start,
      SamplerState state,
      TrajectoryNoise noise,
      List<AverageBeams.Beam> beams) {
    this.request = request;
    this.basis = basis;
    this.networks = networks;
    this.start = start;
    this.state = state;
    this.noise = noise;
    this.savedNoise = noise.saveState();
    this.beams = beams;
  }

  @Override
  public GenerationRequest request() {
    return request;
  }

  JointMode mode() {
    return start.mode();
  }

  boolean truncated() {
    return start.truncated();
  }

  @Override
  public int step() {
    return state.call() + AverageBeams.length(beams);
  }

  @Override
  public int totalSteps() {
    return state.plan().calls() + (mode().texts() ? networks.beams().most() : 0);
  }

  @Override
  public boolean done() {
    return state.done() && (!mode().texts() || networks.beams().over(beams));
  }

  /** Whether its next call is one of the text's network. */
  boolean writes() {
    return state.done() && !done();
  }

  /** Modes whose samples are of different sizes share calls: every row has all three parts. */
  @Override
  public Object batchKey() {
    if (done()) {
      return mode().images() ? Phase.DONE_IMAGE : Phase.DONE_TEXT;
    }
    return writes() ? Phase.WRITING : Phase.DENOISING;
  }

  @Override
  public int rowSize() {
    return networks.rowSize();
  }

  @Override
  public int rows() {
    if (writes()) {
      return (int) beams.stream().filter(beam -> !beam.ended()).count();
    }
    return !guided() ? 1 : mode() == JointMode.JOINT ? 3 : 2;
  }

  private boolean guided() {
    return request.guidanceScale() > 1 && mode() != JointMode.TEXT && mode() != JointMode.IMAGE;
  }

  @Override
  public TrajectorySnapshot snapshot() {
    float[] sample = state.sample();
    if (mode().texts() && state.done()) {
      sample = Arrays.copyOf(sample, sample.length + networks.beams().savedSize());
      networks.beams().save(beams, sample, state.size());
    }
    return new TrajectorySnapshot(request, basis, step(), sample, state.history(), savedNoise);
  }

  // ------------------------------------------------------------------ the sample

  float[] latent() {
    return mode().images() ? part(0, networks.latent().size()) : start.latent();
  }

  private float[] image() {
    int from = networks.latent().size();
    return mode().images() ? part(from, from + networks.image().size()) : start.image();
  }

  private float[] text() {
    int size = networks.text().size();
    return mode().texts() ? part(state.size() - size, state.size()) : start.text();
  }

  private float[] part(int from, int to) {
    return Arrays.copyOfRange(state.sample(), from, to);
  }

  /**
   * What the next call shows to the denoising network, and where the noise is after it: guidance
   * leads away from what is seen of nothing but noise, drawn anew at each step.
   */
  record Shown(List<JointNetworks.Row> rows, TrajectoryNoise noise) {}

  Shown shown() {
    double time = state.plan().timestep(state.call());
    double noisy = networks.noiseTimestep();
    Long type = request.get(Parameters.DATA_TYPE);
    long dataType = type == null ? 0 : type;
    double imageTime =
        switch (mode()) {
          case IMAGE_TO_TEXT -> 0;
          case TEXT -> noisy;
          default -> time;
        };
    double textTime =
        switch (mode()) {
          case TEXT_TO_IMAGE -> 0;
          case IMAGE -> noisy;
          default -> time;
        };
    JointNetworks.Row own =
        new JointNetworks.Row(latent(), image(), text(), imageTime, textTime, dataType);
    if (!guided()) {
      return new Shown(List.of(own), noise);
    }
    TrajectoryNoise next = noise.copy();
    JointNetworks.Row withoutImage = null;
    if (mode() != JointMode.TEXT_TO_IMAGE) {
      float[] latent = next.gaussian(networks.latent());
      float[] image = next.gaussian(networks.image());
      withoutImage =
          new JointNetworks.Row(latent, image, own.text(), noisy, own.textTime(), dataType);
      if (mode() == JointMode.IMAGE_TO_TEXT) {
        return new Shown(List.of(own, withoutImage), next);
      }
    }
    JointNetworks.Row withoutText =
        new JointNetworks.Row(
            own.latent(),
            own.image(),
            next.gaussian(networks.text()),
            own.imageTime(),
            noisy,
            dataType);
    return new Shown(
        mode() == JointMode.JOINT
            ? List.of(own, withoutText, withoutImage)
            : List.of(own, withoutText),
        next);
  }

  /**
   * What the network predicts for this trajectory's sample, guidance applied.
   *
   * @param output of the network for the whole batch
   * @param offset where this trajectory's rows begin in it
   * @return null when the prediction holds NaN or infinity
   */
  float[] prediction(float[] output, int offset) {
    int row = networks.rowSize();
    int textsFrom = row - networks.text().size();
    int from = mode().images() ? 0 : textsFrom;
    float[] prediction = new float[state.size()];
    float scale = (float) request.guidanceScale();
    boolean guided = guided();
    for (int i = 0; i < prediction.length; i++) {
      int at = from + i;
      float value = output[offset + at];
      if (guided) {
        // Of three rows, the second says what an image is without its text, the third the reverse.
        int other = mode() == JointMode.JOINT && at >= textsFrom ? 2 * row : row;
        value = scale * value + (1 - scale) * output[offset + other + at];
      }
      if (!Float.isFinite(value)) {
        return null;
      }
      prediction[i] = value;
    }
    return prediction;
  }

  /** Where the trajectory is after one more step. */
  record Next(SamplerState state, TrajectoryNoise noise) {}

  /**
   * The next step; changes nothing.
   *
   * @param shown of which {@code prediction} is
   */
  Next next(Shown shown, float[] prediction) {
    TrajectoryNoise nextNoise = shown.noise();
    if (state.plan().needsNoise(state.call()) && nextNoise == noise) {
      nextNoise = noise.copy();
    }
    SamplerState nextState = state.copy();
    nextState.advance(prediction, nextNoise.shaped(new SampleShape(1, 1, state.size())));
    return new Next(nextState, nextNoise);
  }

  /** Goes to where {@link #next} leads; does not fail. */
  void become(Next next) {
    state = next.state();
    if (noise != next.noise()) {
      noise = next.noise();
      savedNoise = noise.saveState();
    }
  }

  // ------------------------------------------------------------------ the text

  /** What the next call shows to the text's network: the beams that have not ended. */
  List<JointNetworks.Written> written() {
    float[] prefix = text();
    return beams.stream()
        .filter(beam -> !beam.ended())
        .map(beam -> new JointNetworks.Written(prefix, beam.tokens()))
        .toList();
  }

  List<AverageBeams.Beam> beams() {
    return beams;
  }

  void become(List<AverageBeams.Beam> next) {
    beams = next;
  }
}
