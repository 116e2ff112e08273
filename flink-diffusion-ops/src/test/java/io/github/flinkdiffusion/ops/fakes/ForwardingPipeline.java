/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.fakes;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.util.List;

/** A pipeline that hands every call on; a test overrides the calls in which it has a part. */
public class ForwardingPipeline implements DiffusionPipeline {
  protected final DiffusionPipeline inner;

  protected ForwardingPipeline(DiffusionPipeline inner) {
    this.inner = inner;
  }

  @Override
  public Model model() {
    return inner.model();
  }

  @Override
  public List<Trajectory> start(List<GenerationRequest> requests) {
    return inner.start(requests);
  }

  @Override
  public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
    return inner.restore(snapshots);
  }

  @Override
  public void step(List<Trajectory> batch) {
    inner.step(batch);
  }

  @Override
  public List<GeneratedImage> finish(List<Trajectory> batch) {
    return inner.finish(batch);
  }

  @Override
  public List<Raster> preview(List<Trajectory> batch) {
    return inner.preview(batch);
  }

  @Override
  public void close() {
    inner.close();
  }
}
