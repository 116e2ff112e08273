/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.QualityException;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.functions.AggregateFunction;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A measure of how the classes of a group's images are spread. Rows without a class are skipped. A
 * group whose measure cannot be taken gives NULL and a line in the log, or fails the job.
 */
@Internal
public abstract class ClassAggregate extends AggregateFunction<Double, ClassAggregate.Accumulator> {
  private static final long serialVersionUID = 1L;
  private static final Logger LOG = LoggerFactory.getLogger(ClassAggregate.class);

  /** Different classes, or classes and groups, that are counted. */
  static final int MOST_CLASSES = 10_000;

  /** What is kept of a group. Public for Flink. */
  public static final class Accumulator {
    @DataTypeHint("MAP<STRING, BIGINT>")
    public Map<String, Long> counts = new HashMap<>();

    @DataTypeHint("MAP<STRING, DOUBLE>")
    public Map<String, Double> reference = new HashMap<>();

    /** Whether there were more classes than are counted. */
    public boolean tooMany;
  }

  private final String name;
  private final boolean failing;

  ClassAggregate(String name, boolean failing) {
    this.name = name;
    this.failing = failing;
  }

  @Override
  public Accumulator createAccumulator() {
    return new Accumulator();
  }

  static void add(Accumulator group, String key, long count) {
    long now = group.counts.getOrDefault(key, 0L) + count;
    if (now == 0) {
      // Negative ones stay: of a part of a window, the rows that go may come first.
      group.counts.remove(key);
    } else if (group.counts.size() < MOST_CLASSES || group.counts.containsKey(key)) {
      group.counts.put(key, now);
    } else {
      group.tooMany = true;
    }
  }

  public void merge(Accumulator group, Iterable<Accumulator> parts) {
    for (Accumulator part : parts) {
      part.counts.forEach((key, count) -> add(group, key, count));
      group.tooMany |= part.tooMany;
      if (group.reference.isEmpty()) {
        group.reference = part.reference;
      }
    }
  }

  @Override
  public Double getValue(Accumulator group) {
    try {
      if (group.tooMany) {
        throw new QualityException(
            "%s of more than %d different classes".formatted(name, MOST_CLASSES));
      }
      return group.counts.isEmpty() ? null : value(group);
    } catch (QualityException e) {
      if (failing) {
        throw OnError.failingTheJob(e);
      }
      LOG.warn("{} gives NULL: {}", name, e.getMessage());
      return null;
    }
  }

  /** Of one image, at least. */
  abstract double value(Accumulator group);

  /** In the order of the names, so that sums round alike. */
  static TreeMap<String, Long> ordered(Accumulator group) {
    return new TreeMap<>(group.counts);
  }
}
