/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.flink.annotation.Internal;

/**
 * How far each request had come in this process, so that steps which are made again after a failure
 * are known as such: a checkpoint says where a trajectory goes on, not how much further it was.
 *
 * <p>It lives as long as the process. What a process that was killed had made is known to nobody,
 * hence not counted. Bounded: the requests that were touched last are kept.
 */
@Internal
public final class StepLedger {
  private static final int MOST = 10_000;

  private record Entry(String job, String operator, String request) {}

  private final Map<Entry, Integer> steps =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Entry, Integer> eldest) {
          return size() > MOST;
        }
      };

  /** What concerns one operator of one job, over all its attempts; for any thread. */
  public interface Page {
    /**
     * Notes that the request has come to this step.
     *
     * @return true when it had been there before
     */
    boolean made(String request, int step);
  }

  public Page page(String job, String operator) {
    return (request, step) -> {
      synchronized (steps) {
        Entry entry = new Entry(job, operator, request);
        int before = steps.getOrDefault(entry, 0);
        steps.put(entry, Math.max(before, step));
        return step <= before;
      }
    };
  }
}
