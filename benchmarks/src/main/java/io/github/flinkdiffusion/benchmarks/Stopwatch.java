/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.flink.api.common.functions.MapFunction;

/**
 * A step of a job in this process that lets records through and notes when. The job is serialized,
 * so what it noted is found by a key.
 *
 * @param <T> the records
 */
final class Stopwatch<T> implements MapFunction<T, T> {
  private static final long serialVersionUID = 1L;
  private static final Map<String, Marks> MARKS = new ConcurrentHashMap<>();

  private final String key = UUID.randomUUID().toString();
  private final long firstCounts;

  /** Written by the one subtask, read when the job has ended. */
  private static final class Marks {
    private long count;
    private long begin;
    private long end;
  }

  /**
   * @param warmUp records before the time begins, 0 to begin with the first
   */
  Stopwatch(long warmUp) {
    firstCounts = Math.max(1, warmUp);
    MARKS.put(key, new Marks());
  }

  @Override
  public T map(T value) {
    Marks marks = MARKS.get(key);
    marks.count++;
    marks.end = System.nanoTime();
    if (marks.count == firstCounts) {
      marks.begin = marks.end;
    }
    return value;
  }

  /**
   * Records a second after the warm-up.
   *
   * @param expected records in all, the warm-up's included; another number is an error
   */
  double rate(long expected) {
    Marks marks = MARKS.remove(key);
    if (marks.count != expected) {
      throw new BenchmarkException(
          "%d records went through the job instead of %d.".formatted(marks.count, expected));
    }
    return (marks.count - firstCounts) * 1e9 / (marks.end - marks.begin);
  }
}
