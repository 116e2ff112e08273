/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.AttributeBalance;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;

/**
 * {@code TOTAL_VARIATION(class, reference)} and {@code KL_DIVERGENCE(class, reference)}: how far a
 * group's classes are from expected shares. The reference is the same in all rows of a group; its
 * first one counts.
 */
@Internal
public final class ReferenceFunction extends ClassAggregate {
  private static final long serialVersionUID = 1L;

  private final boolean divergence;

  private ReferenceFunction(String name, boolean failing, boolean divergence) {
    super(name, failing);
    this.divergence = divergence;
  }

  static ReferenceFunction totalVariation(boolean failing) {
    return new ReferenceFunction("TOTAL_VARIATION", failing, false);
  }

  static ReferenceFunction divergence(boolean failing) {
    return new ReferenceFunction("KL_DIVERGENCE", failing, true);
  }

  public void accumulate(
      Accumulator group,
      String name,
      @DataTypeHint("MAP<STRING, DOUBLE>") Map<String, Double> reference) {
    if (name != null && reference != null) {
      if (group.reference.isEmpty() && reference.size() <= MOST_CLASSES) {
        group.reference = new HashMap<>(reference);
      }
      add(group, name, 1);
    }
  }

  public void retract(
      Accumulator group,
      String name,
      @DataTypeHint("MAP<STRING, DOUBLE>") Map<String, Double> reference) {
    if (name != null && reference != null) {
      add(group, name, -1);
    }
  }

  @Override
  double value(Accumulator group) {
    TreeMap<String, Long> counted = ordered(group);
    TreeSet<String> names = new TreeSet<>(counted.keySet());
    names.addAll(group.reference.keySet());
    long[] counts = new long[names.size()];
    double[] shares = new double[names.size()];
    int at = 0;
    for (String name : names) {
      Double share = group.reference.get(name);
      counts[at] = counted.getOrDefault(name, 0L);
      shares[at] = share == null ? 0 : share;
      at++;
    }
    AttributeBalance balance = AttributeBalance.of(counts, shares);
    return divergence ? balance.divergence() : balance.totalVariation();
  }
}
