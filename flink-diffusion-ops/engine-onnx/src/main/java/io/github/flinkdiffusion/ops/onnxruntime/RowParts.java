/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnxruntime;

import ai.onnxruntime.OrtSession;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.StackedTensor;
import io.github.flinkdiffusion.ops.engine.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Threads that each compute some rows of a call with a session of one thread, instead of meeting
 * after every operation: what a thread has computed stays in its processor's cache, and operations
 * for which the library takes one thread alone (normalization of instances) run side by side.
 */
final class RowParts implements AutoCloseable {
  /** Rows that the slowest part may have more than its share; beyond it, all rows go together. */
  private static final double UNEVEN = 1.15;

  private static final AtomicInteger NUMBER = new AtomicInteger();

  private final int threads;
  private final ExecutorService others;

  /**
   * @param threads of a call, the caller's among them; at least two
   */
  RowParts(int threads) {
    this.threads = threads;
    this.others =
        Executors.newFixedThreadPool(
            threads - 1,
            work -> {
              Thread thread = new Thread(work, "onnxruntime-rows-" + NUMBER.incrementAndGet());
              thread.setDaemon(true);
              return thread;
            });
  }

  /**
   * In how many parts a call is made: one for each thread, or one.
   *
   * @param inputs whose first dimension must be the same; those on the device row by row
   */
  int of(Tensor... inputs) {
    long rows = rows(inputs);
    long largest = (rows + threads - 1) / threads;
    return rows >= threads && largest * threads <= UNEVEN * rows ? threads : 1;
  }

  /** The first dimension of all inputs, or zero. */
  private static long rows(Tensor... inputs) {
    long rows = 0;
    for (Tensor input : inputs) {
      if (!isByRows(input) || input.shape().length == 0) {
        return 0;
      }
      long its = input.shape()[0];
      if (rows != 0 && rows != its) {
        return 0;
      }
      rows = its;
    }
    return rows;
  }

  private static boolean isByRows(Tensor input) {
    return input instanceof HostTensor
        || input instanceof StackedTensor stacked && stacked.parts().size() == input.shape()[0];
  }

  /**
   * Runs one part in this thread, each other one in a thread of its own, and waits for all.
   *
   * @return the results, in order of the parts
   * @throws Exception what a part threw; the results of the others are closed
   */
  List<OrtSession.Result> run(List<Callable<OrtSession.Result>> parts) throws Exception {
    List<Future<OrtSession.Result>> futures = new ArrayList<>();
    for (Callable<OrtSession.Result> part : parts.subList(1, parts.size())) {
      futures.add(others.submit(part));
    }
    List<OrtSession.Result> results = new ArrayList<>();
    Exception failure = null;
    try {
      results.add(parts.get(0).call());
    } catch (Exception e) {
      failure = e;
    }
    boolean interrupted = false;
    for (Future<OrtSession.Result> future : futures) {
      // Also after a failure, and when interrupted: the parts read memory of this call.
      for (boolean waits = true; waits; ) {
        try {
          results.add(future.get());
          waits = false;
        } catch (InterruptedException e) {
          interrupted = true;
        } catch (ExecutionException e) {
          failure = failure == null && e.getCause() instanceof Exception cause ? cause : failure;
          failure = failure == null ? e : failure;
          waits = false;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    if (failure != null) {
      results.forEach(OrtSession.Result::close);
      throw failure;
    }
    return results;
  }

  @Override
  public void close() {
    others.shutdown();
  }
}
