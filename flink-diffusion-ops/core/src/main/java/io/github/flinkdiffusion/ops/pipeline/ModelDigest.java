package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/**
 * A model's digest, computed by a thread of its own while the networks are loaded: it reads every
 * byte of the files, which takes about as long.
 */
final class ModelDigest implements AutoCloseable {
  private final FutureTask<String> digest;
  private final Thread thread;

  private ModelDigest(ModelFolder model) {
    digest = new FutureTask<>(model::digest);
    thread = new Thread(digest, "diffusion-model-digest " + model.name());
    thread.setDaemon(true);
  }

  static ModelDigest begin(ModelFolder model) {
    ModelDigest begun = new ModelDigest(model);
    begun.thread.start();
    return begun;
  }

  /**
   * Waits for it.
   *
   * @throws WeightsException if a file can not be read, or this thread is interrupted
   */
  String get() {
    try {
      return digest.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException failure) {
        throw failure;
      }
      throw new IllegalStateException("The model's digest could not be computed", e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new WeightsException("Interrupted while the model's digest was computed", e);
    }
  }

  /** Ends the thread, if it still reads, and waits for its end, which is a read away. */
  @Override
  public void close() {
    thread.interrupt();
    boolean interrupted = false;
    while (true) {
      try {
        thread.join();
        break;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
