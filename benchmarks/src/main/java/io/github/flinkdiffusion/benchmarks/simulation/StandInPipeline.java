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

  private final CallCosts costs;
  private final Clock clock;

  private StandInPipeline(CallCosts costs, Clock clock) {
    this.costs = costs;
    this.clock = clock;
  }

  /** Its calls take no time but the machine's. */
  public static StandInPipeline costless() {
    CallCosts.Curve nothing = CallCosts.Curve.line(0, 0);
    return new StandInPipeline(new CallCosts(nothing, nothing, nothing), Clock.simulated());
  }

  /** Its calls move the clock by what they cost. */
  public static StandInPipeline of(CallCosts costs, Clock clock) {
    return new StandInPipeline(costs, clock);
  }

  /** A request of one row. */
  public static GenerationRequest request(String id, int steps) {
    return SIGNATURE.resolve(GenerationSpec.of(id).with(Parameters.STEPS, (long) steps));
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
    spend(costs.encode(), requests.size());
    return requests.stream().<Trajectory>map(each -> new Counting(each, 0)).toList();
  }

  @Override
  public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
    spend(costs.encode(), snapshots.size());
    return snapshots.stream().<Trajectory>map(s -> new Counting(s.request(), s.step())).toList();
  }

  @Override
  public void step(List<Trajectory> batch) {
    spend(costs.step(), batch.size());
    for (Trajectory each : batch) {
      ((Counting) each).step++;
    }
  }

  @Override
  public List<GeneratedImage> finish(List<Trajectory> batch) {
    spend(costs.decode(), batch.size());
    return batch.stream()
        .map(each -> new GeneratedImage(each.request(), PICTURE, false, false))
        .toList();
  }

  @Override
  public void close() {
    // Holds nothing.
  }

  private void spend(CallCosts.Curve curve, int rows) {
    clock.skipTo(clock.nanos() + curve.nanos(rows));
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
      return MODEL;
    }

    @Override
    public TrajectorySnapshot snapshot() {
      return new TrajectorySnapshot(
          request, MODEL.basis(), step, new float[0], new float[0][], new byte[0]);
    }
  }
}
