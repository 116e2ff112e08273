package io.github.flinkdiffusion.benchmarks.hotpath;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.Signature;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.util.List;

/**
 * Trajectories that only count their steps, so that all that is measured is what is around them.
 */
final class CostlessPipeline implements DiffusionPipeline {
  private static final ModelInfo MODEL = new ModelInfo("costless", "0".repeat(64));
  private static final Signature SIGNATURE =
      Signature.of("CostlessPipeline")
          .withDefault(Parameters.STEPS, 1L)
          .withDefault(Parameters.WIDTH, 1L)
          .withDefault(Parameters.HEIGHT, 1L);
  private static final Raster PICTURE = Raster.filled(1, 1, 1, 0);

  static GenerationRequest request(String id, int steps) {
    return SIGNATURE.resolve(GenerationSpec.of(id).with(Parameters.STEPS, (long) steps));
  }

  @Override
  public ModelInfo model() {
    return MODEL;
  }

  @Override
  public Signature signature() {
    return SIGNATURE;
  }

  @Override
  public GenerationRequest prepare(GenerationSpec spec) {
    return SIGNATURE.resolve(spec);
  }

  @Override
  public List<Trajectory> start(List<GenerationRequest> requests) {
    return requests.stream().<Trajectory>map(each -> new Counting(each, 0)).toList();
  }

  @Override
  public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
    return snapshots.stream().<Trajectory>map(s -> new Counting(s.request(), s.step())).toList();
  }

  @Override
  public void step(List<Trajectory> batch) {
    for (Trajectory each : batch) {
      ((Counting) each).step++;
    }
  }

  @Override
  public List<GeneratedImage> finish(List<Trajectory> batch) {
    return batch.stream()
        .map(each -> new GeneratedImage(each.request(), PICTURE, false, false))
        .toList();
  }

  @Override
  public void close() {
    // Holds nothing.
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
          request, MODEL.digest(), step, new float[0], new float[0][], new byte[0]);
    }
  }
}
