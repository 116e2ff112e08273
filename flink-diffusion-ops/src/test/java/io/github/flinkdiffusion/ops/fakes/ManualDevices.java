/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.fakes;

import io.github.flinkdiffusion.ops.batching.BatchSettings;
import io.github.flinkdiffusion.ops.batching.BatchingException;
import io.github.flinkdiffusion.ops.batching.ModelPool;
import io.github.flinkdiffusion.ops.batching.SharedBatchers;
import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.serving.DecodingMemory;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import io.github.flinkdiffusion.ops.serving.StepLedger;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.AbstractExecutorService;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Devices and encoders that work only when the test says so, on the test's thread. */
public final class ManualDevices {
  public final ManualTicker ticker = new ManualTicker();
  public final List<StepBatcher> batchers = new ArrayList<>();

  /** What the pool of models wants to do after a time. */
  public final Deque<Runnable> alarms = new ArrayDeque<>();

  public final Deque<Runnable> encodings = new ArrayDeque<>();
  public final ProcessServices services =
      new ProcessServices(
          new ModelPool(
              new SharedBatchers(this::start),
              Runnable::run,
              ticker,
              (after, task) -> alarms.add(task)),
          (subtask, threads) -> new ManualEncoders(),
          new StepLedger(),
          decoding());

  public DecodingMemory decoding() {
    return new DecodingMemory(1 << 30);
  }

  private SharedBatchers.Device start(
      String name, BatchSettings settings, Callable<DiffusionPipeline> opener) {
    DiffusionPipeline pipeline;
    try {
      pipeline = opener.call();
    } catch (Exception e) {
      throw new BatchingException("The model could not be opened.", e);
    }
    StepBatcher batcher = new StepBatcher(pipeline, settings.resolve(pipeline, ticker), ticker);
    batchers.add(batcher);
    CompletableFuture<Void> freed = new CompletableFuture<>();
    return new SharedBatchers.Device() {
      @Override
      public StepBatcher batcher() {
        return batcher;
      }

      @Override
      public boolean isBroken() {
        return batcher.hasFailed();
      }

      @Override
      public void close() {
        batcher.close();
        pipeline.close();
        freed.complete(null);
      }

      @Override
      public CompletableFuture<Void> freed() {
        return freed;
      }
    };
  }

  /** Every device makes a call; false when none had anything to do. */
  public boolean deviceCall() {
    boolean worked = false;
    for (StepBatcher batcher : batchers) {
      worked |= batcher.runOnce();
    }
    return worked;
  }

  /** Encodes one picture; false when none waits. */
  public boolean encodeOne() {
    Runnable next = encodings.poll();
    if (next != null) {
      next.run();
    }
    return next != null;
  }

  private final class ManualEncoders extends AbstractExecutorService {
    private boolean shutdown;

    @Override
    public void execute(Runnable task) {
      encodings.add(
          () -> {
            if (!shutdown) {
              task.run();
            }
          });
    }

    @Override
    public void shutdown() {
      shutdown = true;
    }

    @Override
    public List<Runnable> shutdownNow() {
      shutdown = true;
      return List.of();
    }

    @Override
    public boolean isShutdown() {
      return shutdown;
    }

    @Override
    public boolean isTerminated() {
      return shutdown;
    }

    @Override
    public boolean awaitTermination(long timeout, TimeUnit unit) {
      return true;
    }
  }
}
