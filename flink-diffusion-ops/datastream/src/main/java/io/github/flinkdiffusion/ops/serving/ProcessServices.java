/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.batching.ModelPool;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.flink.annotation.Internal;

/**
 * What an operator takes from the process it runs in.
 *
 * @param models those on the devices, shared by all subtasks
 * @param encoders makes the pool of a subtask's workers
 * @param ledger how far requests had come, for counting what is made again
 * @param decoding heap for images that come from outside
 */
@Internal
public record ProcessServices(
    ModelPool models, EncoderFactory encoders, StepLedger ledger, DecodingMemory decoding) {
  public static final ProcessServices OF_PROCESS =
      new ProcessServices(
          ModelPool.ofProcess(),
          ProcessServices::workers,
          new StepLedger(),
          DecodingMemory.ofHeap());

  @FunctionalInterface
  public interface EncoderFactory {
    /**
     * @param user of the pool, such as a subtask's index, for the threads' names
     * @param threads how many; what waits for them is bounded by the user's capacity
     */
    ExecutorService create(String user, int threads);
  }

  private static ExecutorService workers(String user, int threads) {
    AtomicInteger number = new AtomicInteger();
    ThreadFactory named =
        task -> {
          Thread thread =
              new Thread(task, "diffusion-encode-" + user + "-" + number.getAndIncrement());
          thread.setDaemon(true);
          return thread;
        };
    return Executors.newFixedThreadPool(threads, named);
  }
}
