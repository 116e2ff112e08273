/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.fakes;

import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;

/**
 * Pipelines whose requests get no further until the test lets them go: calls are made, and return
 * with nothing done. Its state is static, because the cluster is in this process and the job is
 * serialized.
 */
public final class HeldPipelines implements PipelineFactory {
  private static final long serialVersionUID = 1L;

  /** Long enough that a held device leaves the processor to others. */
  private static final Duration CALL = Duration.ofMillis(1);

  private static final Set<String> IN_PIPELINE = new HashSet<>();
  private static final Set<String> FINISHED = new HashSet<>();

  private static volatile boolean held;
  private static volatile boolean breaks;
  private static int most;

  public static synchronized void hold() {
    held = true;
    breaks = false;
    most = 0;
    IN_PIPELINE.clear();
    FINISHED.clear();
  }

  public static void letGo() {
    held = false;
  }

  /** The device breaks in its next call, once. */
  public static void breakOnce() {
    breaks = true;
  }

  /** The device has broken since {@link #breakOnce}. */
  public static boolean hasBroken() {
    return !breaks;
  }

  /** Requests that have begun and have no image yet; one that was cancelled counts, too. */
  public static synchronized int running() {
    return IN_PIPELINE.size();
  }

  /** The id of one of them. */
  public static synchronized String anyRunning() {
    return IN_PIPELINE.iterator().next();
  }

  /** The id of another one. */
  public static synchronized String runningBut(String other) {
    return IN_PIPELINE.stream().filter(id -> !id.equals(other)).findAny().orElseThrow();
  }

  /** The most of {@link #running} since {@link #hold}. */
  public static synchronized int mostRunning() {
    return most;
  }

  /** Requests that have an image, since {@link #hold}. */
  public static synchronized int finished() {
    return FINISHED.size();
  }

  private static synchronized void begun(List<GenerationRequest> requests) {
    requests.forEach(request -> IN_PIPELINE.add(request.id()));
    most = Math.max(most, IN_PIPELINE.size());
  }

  private static synchronized void finished(List<Trajectory> trajectories) {
    for (Trajectory trajectory : trajectories) {
      IN_PIPELINE.remove(trajectory.request().id());
      FINISHED.add(trajectory.request().id());
    }
  }

  private static synchronized void noneIsRunning() {
    IN_PIPELINE.clear();
  }

  @Override
  public String model() {
    return "held";
  }

  @Override
  public DiffusionPipeline open(String device) {
    noneIsRunning();
    return new Held();
  }

  private static final class Held extends ForwardingPipeline {
    Held() {
      super(new FakePipeline());
    }

    @Override
    public List<Trajectory> start(List<GenerationRequest> requests) {
      begun(requests);
      return super.start(requests);
    }

    @Override
    public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
      begun(snapshots.stream().map(TrajectorySnapshot::request).toList());
      return super.restore(snapshots);
    }

    @Override
    public void step(List<Trajectory> batch) {
      if (breaks) {
        breaks = false;
        throw new IllegalStateException("The device broke, as planned.");
      }
      if (held) {
        LockSupport.parkNanos(CALL.toNanos());
      } else {
        super.step(batch);
      }
    }

    @Override
    public List<GeneratedImage> finish(List<Trajectory> batch) {
      finished(batch);
      return super.finish(batch);
    }
  }
}
