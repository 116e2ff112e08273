/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/**
 * mini-emoji with its steps counted over all attempts of a job in this process, and a device that
 * breaks once when it is told to. The job is serialized, so the counts are found by a key.
 */
final class CountedPipelines implements PipelineFactory {
  private static final long serialVersionUID = 1L;
  private static final Map<String, Counts> COUNTS = new ConcurrentHashMap<>();

  private final String key = UUID.randomUUID().toString();

  private static final class Counts {
    private final AtomicLong steps = new AtomicLong();
    private final AtomicBoolean breaks = new AtomicBoolean();

    /** By request, the steps it has come to in any attempt. */
    private final Map<String, Integer> reached = new ConcurrentHashMap<>();

    private volatile long broke;
    private volatile long firstNew;

    private void made(List<?> batch) {
      steps.addAndGet(batch.size());
      for (Object each : batch) {
        Trajectory trajectory = (Trajectory) each;
        int before = reached.merge(trajectory.request().id(), 0, Math::max);
        if (trajectory.step() > before) {
          reached.put(trajectory.request().id(), trajectory.step());
          if (broke != 0 && firstNew == 0) {
            firstNew = System.nanoTime();
          }
        }
      }
    }
  }

  CountedPipelines() {
    COUNTS.put(key, new Counts());
  }

  /** Steps of all trajectories, those that were made again included. */
  long steps() {
    return COUNTS.get(key).steps.get();
  }

  /** Seconds between the device's failure and the first step that had not been made before. */
  double secondsToFirstNewStep() {
    Counts counts = COUNTS.get(key);
    return (counts.firstNew - counts.broke) / 1e9;
  }

  /** Lets the next network call fail for good. */
  void breakDevice() {
    COUNTS.get(key).breaks.set(true);
  }

  @Override
  public String model() {
    return "counted mini-emoji " + key;
  }

  @Override
  public DiffusionPipeline open(String device) throws IOException {
    DiffusionPipeline pipeline =
        Pipelines.open(MiniEmoji.folder(), PipelineSettings.on(Engines.standard().device(device)));
    Counts counts = COUNTS.get(key);
    // A proxy, so that whatever a pipeline learns to do is passed on.
    return (DiffusionPipeline)
        Proxy.newProxyInstance(
            DiffusionPipeline.class.getClassLoader(),
            new Class<?>[] {DiffusionPipeline.class},
            (self, method, arguments) -> {
              boolean step = method.getName().equals("step");
              if (step && counts.breaks.compareAndSet(true, false)) {
                counts.broke = System.nanoTime();
                throw new IllegalStateException("The device broke, as it was told to.");
              }
              try {
                Object result = method.invoke(pipeline, arguments);
                if (step) {
                  counts.made((List<?>) arguments[0]);
                }
                return result;
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }
}
