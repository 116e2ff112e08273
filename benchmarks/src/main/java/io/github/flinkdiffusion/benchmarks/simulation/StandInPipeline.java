/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.Signature;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.util.List;
import java.util.function.Function;
import java.util.function.IntFunction;

/**
 * Trajectories that only count their steps, in calls that cost nothing or what they are said to
 * cost, so that all that is measured is what is around them.
 */
public final class StandInPipeline implements DiffusionPipeline, Model {
  private static final ModelInfo MODEL = new ModelInfo("stand-in", "0".repeat(64));
  private static final Signature SIGNATURE =
      Signature.of("StandInPipeline")
          .withDefault(Parameters.STEPS, 1L)
          .withDefault(Parameters.WIDTH, 1L)
          .withDefault(Parameters.HEIGHT, 1L);
  private static final Raster PICTURE = Raster.filled(1, 1, 1, 0);

  private final IntFunction<CallCosts> costs;
  private final Clock clock;

  private StandInPipeline(IntFunction<CallCosts> costs, Clock clock) {
    this.costs = costs;
    this.clock = clock;
  }

  /** Its calls take no time but the machine's. */
  public static StandInPipeline costless() {
    CallCosts.Curve nothing = CallCosts.Curve.line(0, 0);
    return of(new CallCosts(nothing, nothing, nothing), Clock.simulated());
  }

  /** Its calls move the clock by what they cost. */
  public static StandInPipeline of(CallCosts costs, Clock clock) {
    return of(size -> costs, clock);
  }

  /**
   * Its calls move the clock by what they cost.
   *
   * @param costs of calls for images of a size, which share no steps with those of another
   */
  public static StandInPipeline of(IntFunction<CallCosts> costs, Clock clock) {
    return new StandInPipeline(costs, clock);
  }

  /** A request of one row. */
  public static GenerationRequest request(String id, int steps) {
    return request(new Arrival(0, 0, steps), id);
  }

  /** What an arrival asks for, in one row. */
  public static GenerationRequest request(Arrival arrival, String id) {
    return SIGNATURE.resolve(
        GenerationSpec.of(id)
            .with(Parameters.STEPS, (long) arrival.steps())
            .with(Parameters.WIDTH, (long) arrival.size()));
  }

  @Override
  public Model model() {
    return this;
  }

  @Override
  public ModelInfo info() {
    return MODEL;
  }

  @Override
  public Signature signature() {
    return SIGNATURE;
  }

  @Override
  public String taskName(Arguments request) {
    return "stand-in";
  }

  @Override
  public GenerationRequest prepare(GenerationSpec spec) {
    return SIGNATURE.resolve(spec);
  }

  @Override
  public List<Trajectory> start(List<GenerationRequest> requests) {
    spend(CallCosts::encode, requests.get(0), requests.size());
    return requests.stream().<Trajectory>map(each -> new Counting(each, 0)).toList();
  }

  @Override
  public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
    spend(CallCosts::encode, snapshots.get(0).request(), snapshots.size());
    return snapshots.stream().<Trajectory>map(s -> new Counting(s.request(), s.step())).toList();
  }

  @Override
  public void step(List<Trajectory> batch) {
    spend(CallCosts::step, batch.get(0).request(), batch.size());
    for (Trajectory each : batch) {
      ((Counting) each).step++;
    }
  }

  @Override
  public List<GeneratedImage> finish(List<Trajectory> batch) {
    spend(CallCosts::decode, batch.get(0).request(), batch.size());
    return batch.stream()
        .map(each -> new GeneratedImage(each.request(), PICTURE, false, false))
        .toList();
  }

  @Override
  public void close() {
    // Holds nothing.
  }

  private void spend(Function<CallCosts, CallCosts.Curve> kind, GenerationRequest first, int rows) {
    clock.skipTo(clock.nanos() + kind.apply(costs.apply(first.width())).nanos(rows));
  }

  private static final class Counting implements Trajectory {
    private final GenerationRequest request;
    private int step;

    Counting(GenerationRequest request, int step) {
      this.request = request;
      this.step = step;
    }

    @Override
    public GenerationRequest request() {
      return request;
    }

    @Override
    public int step() {
      return step;
    }

    @Override
    public int totalSteps() {
      return request.steps();
    }

    @Override
    public int rows() {
      return 1;
    }

    @Override
    public Object batchKey() {
      return request.width();
    }

    @Override
    public TrajectorySnapshot snapshot() {
      return new TrajectorySnapshot(
          request, MODEL.basis(), step, new float[0], new float[0][], new byte[0]);
    }
  }
}
