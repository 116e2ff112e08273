/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * mini-emoji, whose network calls take so much longer and cannot be interrupted, as a call into
 * native code cannot: a stand-in for a large model on a slow device.
 */
final class SlowDevice implements PipelineFactory {
  private static final long serialVersionUID = 1L;

  private static final Logger LOG = LoggerFactory.getLogger(SlowDevice.class);

  /** What the log says when such a call begins and ends. */
  static final String BEGINS = "A call of the stand-in begins";

  static final String ENDS = "A call of the stand-in ends";

  /** Begins the ids of requests whose calls are slow. */
  static final String SLOW_REQUEST = "slow-";

  /** Whether this process has made a slow call. */
  private static final AtomicBoolean CALLED = new AtomicBoolean();

  private final String folder;
  private final long millis;
  private final boolean onlyFirst;

  /**
   * @param folder of mini-emoji
   * @param millis by which a call is longer
   * @param onlyFirst whether only the first call of the process is
   */
  SlowDevice(String folder, long millis, boolean onlyFirst) {
    this.onlyFirst = onlyFirst;
    this.folder = folder;
    this.millis = millis;
  }

  @Override
  public String model() {
    return "mini-emoji with calls of " + millis + " ms";
  }

  @Override
  public DiffusionPipeline open(String device) throws IOException {
    return StandIns.beforeSteps(
        Pipelines.open(Path.of(folder), PipelineSettings.on(Engines.standard().device(device))),
        batch -> {
          if (isSlow(batch) && (!CALLED.getAndSet(true) || !onlyFirst)) {
            LOG.info("{} and takes {} ms.", BEGINS, millis);
            sitThrough(millis);
            LOG.info("{}.", ENDS);
          }
        });
  }

  /** Not the calls by which a model is measured when it is loaded. */
  private static boolean isSlow(List<Trajectory> batch) {
    return batch.stream().anyMatch(each -> each.request().id().startsWith(SLOW_REQUEST));
  }

  private static void sitThrough(long millis) {
    long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
    boolean interrupted = false;
    for (long left = millis; left > 0; left = (end - System.nanoTime()) / 1_000_000) {
      try {
        Thread.sleep(left);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
