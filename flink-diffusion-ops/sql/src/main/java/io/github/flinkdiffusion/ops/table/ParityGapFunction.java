/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.AttributeBalance;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.flink.annotation.Internal;

/**
 * {@code PARITY_GAP(class, part)}: the largest difference between two parts of a group, such as its
 * prompts, in the share of one class.
 */
@Internal
public final class ParityGapFunction extends ClassAggregate {
  private static final long serialVersionUID = 1L;

  ParityGapFunction(boolean failing) {
    super("PARITY_GAP", failing);
  }

  /** No two pairs have one key. */
  private static String key(String name, String part) {
    return part.length() + ":" + part + name;
  }

  public void accumulate(Accumulator group, String name, String part) {
    if (name != null && part != null) {
      add(group, key(name, part), 1);
    }
  }

  public void retract(Accumulator group, String name, String part) {
    if (name != null && part != null) {
      add(group, key(name, part), -1);
    }
  }

  @Override
  double value(Accumulator group) {
    TreeSet<String> names = new TreeSet<>();
    Map<String, Map<String, Long>> byPart = new TreeMap<>();
    ordered(group)
        .forEach(
            (key, count) -> {
              int colon = key.indexOf(':');
              int end = colon + 1 + Integer.parseInt(key.substring(0, colon));
              names.add(key.substring(end));
              byPart
                  .computeIfAbsent(key.substring(colon + 1, end), part -> new TreeMap<>())
                  .put(key.substring(end), count);
            });
    Map<String, long[]> counts = new TreeMap<>();
    byPart.forEach(
        (part, of) ->
            counts.put(
                part, names.stream().mapToLong(name -> of.getOrDefault(name, 0L)).toArray()));
    return AttributeBalance.parityGap(counts);
  }
}
