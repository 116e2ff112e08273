/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.function.UnaryOperator;

/**
 * Reads every byte of a model in a thread of its own: for the digest that names it, and to find
 * what is wrong with its weights. Neither delays the first step. What the model has computed is not
 * to leave the process before {@link #digest} has come, which is the model's name in checkpoints
 * and audit records, and says that all checks have passed.
 */
final class ModelCheck implements AutoCloseable {
  private final FutureTask<String> result;
  private final Thread thread;
  private final UnaryOperator<RuntimeException> translation;
  private final CountDownLatch loaded = new CountDownLatch(1);
  private final List<Runnable> checks = new ArrayList<>();
  private final List<TensorStore> stores = new ArrayList<>();
  private final ModelFolder model;

  private ModelCheck(ModelFolder model, UnaryOperator<RuntimeException> translation) {
    this.model = model;
    this.translation = translation;
    result = new FutureTask<>(this::check);
    thread = new Thread(result, "diffusion-model-check " + model.name());
    thread.setDaemon(true);
  }

  /**
   * Starts the thread, which waits for {@link #allAreAdded}.
   *
   * @param translation makes what callers are told of what was found: it may be long after the
   *     model was opened
   */
  static ModelCheck begin(ModelFolder model, UnaryOperator<RuntimeException> translation) {
    model.readSmallFiles();
    ModelCheck begun = new ModelCheck(model, translation);
    begun.thread.start();
    return begun;
  }

  private String check() throws InterruptedException {
    try {
      // Of the files that are open, so not before all are.
      loaded.await();
      String digest = model.digest();
      checks.forEach(Runnable::run);
      return digest;
    } finally {
      stores.forEach(TensorStore::close);
      model.releaseFiles();
    }
  }

  /** Adds a check that throws if something is wrong; before {@link #allAreAdded}. */
  void add(Runnable check) {
    checks.add(check);
  }

  /** Keeps weights open until the checks have been made. */
  void keepOpen(TensorStore store) {
    stores.add(store);
  }

  /** Lets the checks begin; called once, when the networks are loaded. */
  void allAreAdded() {
    loaded.countDown();
  }

  /**
   * Waits until all has been read.
   *
   * @return the model's digest
   * @throws WeightsException if a file cannot be read, or this thread is interrupted
   * @throws RuntimeException what the translation makes of what is wrong with the weights
   */
  String digest() {
    try {
      return result.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException failure) {
        throw translation.apply(failure);
      }
      throw new IllegalStateException("The model could not be checked", e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new WeightsException("Interrupted while the model was checked", e);
    }
  }

  /**
   * Looks whether weights have been written to since they were opened; costs a look at each file's
   * time.
   */
  void requireNotWritten() {
    try {
      model.requireNotWritten();
    } catch (WeightsException e) {
      throw translation.apply(e);
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
    stores.forEach(TensorStore::close);
  }
}
