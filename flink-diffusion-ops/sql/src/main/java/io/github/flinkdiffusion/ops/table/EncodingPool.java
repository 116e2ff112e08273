package io.github.flinkdiffusion.ops.table;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/** Threads that decode and encode pictures for a function; what waits is bounded by Flink. */
final class EncodingPool {
  private EncodingPool() {}

  /**
   * @param user of the pool, for the threads' names
   */
  static ExecutorService start(String user, int threads) {
    AtomicInteger number = new AtomicInteger();
    return Executors.newFixedThreadPool(
        threads,
        task -> {
          Thread thread =
              new Thread(task, "diffusion-sql-" + user + "-" + number.getAndIncrement());
          thread.setDaemon(true);
          return thread;
        });
  }
}
