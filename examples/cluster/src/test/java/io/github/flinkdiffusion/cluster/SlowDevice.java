package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.operator.PipelineFactory;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/**
 * mini-emoji, each of whose network calls takes so much longer and cannot be interrupted, as a call
 * into native code cannot: a stand-in for a large model on a slow device.
 */
final class SlowDevice implements PipelineFactory {
  private static final long serialVersionUID = 1L;

  private final String folder;
  private final long millis;

  /**
   * @param folder of mini-emoji
   * @param millis by which a call is longer
   */
  SlowDevice(String folder, long millis) {
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
        Pipelines.open(Path.of(folder), PipelineSettings.on(DeviceSpec.parse(device))),
        batch -> sitThrough(millis));
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
