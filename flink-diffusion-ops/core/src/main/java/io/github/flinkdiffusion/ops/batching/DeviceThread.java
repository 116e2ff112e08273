/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.NativeMemory;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one thread that touches a device: it opens the pipeline, runs the {@link StepBatcher} and
 * closes the pipeline, because tensor libraries keep state per thread. It ends by itself, after the
 * call that it is at; nobody waits for it but the process's end.
 */
final class DeviceThread implements SharedBatchers.Device {
  private static final Logger LOG = LoggerFactory.getLogger(DeviceThread.class);

  /** How long the process's end waits for a call; whoever ended it waits, too. */
  private static final Duration PATIENCE_AT_EXIT = Duration.ofSeconds(10);

  private final CompletableFuture<StepBatcher> opened = new CompletableFuture<>();
  private final CompletableFuture<Void> freed = new CompletableFuture<>();
  private final Thread thread;
  private final Thread atExit;
  private volatile boolean closing;

  /** Null once it was called, since it belongs to the job that came first. Device's thread. */
  private Callable<DiffusionPipeline> opener;

  private DeviceThread(
      String name, BatchSettings settings, Ticker ticker, Callable<DiffusionPipeline> opener) {
    this.opener = opener;
    thread = new Thread(() -> run(name, settings, ticker), "diffusion-device-" + name);
    // Not that of the job that came first, which may be gone long before this thread.
    thread.setContextClassLoader(DeviceThread.class.getClassLoader());
    // A JVM whose work is done does not wait for a model, only for the call that runs.
    thread.setDaemon(true);
    atExit = new Thread(this::endAtExit, "diffusion-device-" + name + "-exit");
  }

  /** Starts the thread, which begins by opening the pipeline. */
  static DeviceThread start(
      String name, BatchSettings settings, Ticker ticker, Callable<DiffusionPipeline> opener) {
    DeviceThread device = new DeviceThread(name, settings, ticker, opener);
    Runtime.getRuntime().addShutdownHook(device.atExit);
    device.thread.start();
    return device;
  }

  /**
   * At the process's end libtorch frees what its calls use: a call that still runs then brings the
   * process down by a signal. So the end waits for the current call and no other begins; nobody is
   * told, since requests are not done and go on from the last checkpoint.
   */
  void endAtExit() {
    askToEnd();
    try {
      thread.join(PATIENCE_AT_EXIT.toMillis());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void askToEnd() {
    closing = true;
    if (opened.isDone() && !opened.isCompletedExceptionally()) {
      opened.getNow(null).close();
    }
  }

  private void run(String name, BatchSettings settings, Ticker ticker) {
    try (DiffusionPipeline pipeline = guarded(name, settings, open())) {
      StepBatcher batcher = new StepBatcher(pipeline, settings.resolve(pipeline, ticker), ticker);
      opened.complete(batcher);
      if (closing) {
        batcher.close();
      }
      batcher.runUntilClosed();
    } catch (Throwable e) { // errors too: a native library that does not link is one
      BatchingException failure =
          new BatchingException(
              "The model on device %s could not be opened: %s".formatted(name, reason(e)), e);
      if (!opened.completeExceptionally(failure)) {
        LOG.error("Device {}: closing the model failed.", name, e);
      }
    } finally {
      freed.complete(null);
      try {
        Runtime.getRuntime().removeShutdownHook(atExit);
      } catch (IllegalStateException exiting) {
        LOG.debug("Device {} ends with the process.", name);
      }
    }
  }

  private DiffusionPipeline open() throws Exception {
    Callable<DiffusionPipeline> once = opener;
    opener = null;
    return once.call();
  }

  /** A GPU's library says itself when its memory does not suffice; the CPU's ends the process. */
  private static DiffusionPipeline guarded(
      String name, BatchSettings settings, DiffusionPipeline pipeline) {
    if (!name.equals(DeviceSpec.CPU.toString())) {
      return pipeline;
    }
    try {
      return MemoryGuard.around(pipeline, settings, NativeMemory.ofProcess());
    } catch (RuntimeException | Error e) {
      pipeline.close();
      throw e;
    }
  }

  /** Without the name of a class where there is a sentence. */
  private static String reason(Throwable e) {
    return e instanceof RuntimeException && e.getMessage() != null ? e.getMessage() : e.toString();
  }

  @Override
  public StepBatcher batcher() throws InterruptedException {
    try {
      return opened.get();
    } catch (ExecutionException e) {
      throw new BatchingException(e.getCause().getMessage(), e.getCause());
    }
  }

  @Override
  public boolean isBroken() {
    return opened.isCompletedExceptionally()
        || opened.isDone() && opened.getNow(null).hasFailed()
        || opened.isDone() && !thread.isAlive();
  }

  /** Ends after the current call, or the opening; the thread then closes the pipeline. */
  @Override
  public void close() {
    askToEnd();
  }

  @Override
  public CompletableFuture<Void> freed() {
    return freed;
  }
}
