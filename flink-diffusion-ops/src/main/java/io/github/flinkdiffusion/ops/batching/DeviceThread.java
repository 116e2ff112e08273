package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one thread that touches a device: it opens the pipeline, runs the {@link StepBatcher} and
 * closes the pipeline, because tensor libraries keep state per thread.
 */
final class DeviceThread implements SharedBatchers.Device {
  private static final Logger LOG = LoggerFactory.getLogger(DeviceThread.class);

  /** How long the process's end waits for a call; whoever ended it waits, too. */
  private static final Duration PATIENCE_AT_EXIT = Duration.ofSeconds(10);

  private final CompletableFuture<StepBatcher> opened = new CompletableFuture<>();
  private final Thread thread;
  private final Thread atExit;
  private volatile boolean closing;

  private DeviceThread(
      String name, BatchSettings settings, Ticker ticker, Callable<DiffusionPipeline> opener) {
    thread = new Thread(() -> run(name, settings, ticker, opener), "diffusion-device-" + name);
    // A JVM whose work is done does not wait for a model; who closes in order waits for this
    // thread.
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

  private void run(
      String name, BatchSettings settings, Ticker ticker, Callable<DiffusionPipeline> opener) {
    try (DiffusionPipeline pipeline = opener.call()) {
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
        LOG.error("Device {}: the model could not be closed in order.", name, e);
      }
    } finally {
      try {
        Runtime.getRuntime().removeShutdownHook(atExit);
      } catch (IllegalStateException exiting) {
        LOG.debug("Device {} ends with the process.", name);
      }
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

  /** Waits until the current call, or the opening, is over and the pipeline is closed. */
  @Override
  public void close() {
    askToEnd();
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        // Native memory is in use until the thread ends, so the next model must not be opened yet.
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
