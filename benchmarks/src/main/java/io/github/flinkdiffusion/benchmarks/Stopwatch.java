/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
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
  private static final OperatingSystemMXBean PROCESS =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  private final String key = UUID.randomUUID().toString();
  private final long firstCounts;

  /** Written by the one subtask, read when the job has ended. */
  private static final class Marks {
    private long count;
    private long begin;
    private long end;
    private long beginCpu;
    private long endCpu;
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
    marks.endCpu = PROCESS.getProcessCpuTime();
    if (marks.count == firstCounts) {
      marks.begin = marks.end;
      marks.beginCpu = marks.endCpu;
    }
    return value;
  }

  /**
   * Records a second after the warm-up.
   *
   * @param expected records in all, the warm-up's included; another number is an error
   */
  double rate(long expected) {
    Marks marks = complete(expected);
    return (marks.count - firstCounts) * 1e9 / (marks.end - marks.begin);
  }

  /**
   * Records after the warm-up for each second of processor time that this process has used, on all
   * threads: what other processes do changes it little.
   *
   * @param expected as for {@link #rate}
   */
  double ratePerProcessorSecond(long expected) {
    Marks marks = complete(expected);
    return (marks.count - firstCounts) * 1e9 / (marks.endCpu - marks.beginCpu);
  }

  private Marks complete(long expected) {
    Marks marks = MARKS.remove(key);
    if (marks.count != expected) {
      throw new BenchmarkException(
          "%d records went through the job instead of %d.".formatted(marks.count, expected));
    }
    return marks;
  }
}
