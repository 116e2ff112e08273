/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.AttributeBalance;
import org.apache.flink.annotation.Internal;

/** {@code CLASS_ENTROPY(class)}: the entropy of a group's classes, in nats. */
@Internal
public final class ClassEntropyFunction extends ClassAggregate {
  private static final long serialVersionUID = 1L;

  ClassEntropyFunction(boolean failing) {
    super("CLASS_ENTROPY", failing);
  }

  public void accumulate(Accumulator group, String name) {
    if (name != null) {
      add(group, name, 1);
    }
  }

  public void retract(Accumulator group, String name) {
    if (name != null) {
      add(group, name, -1);
    }
  }

  @Override
  double value(Accumulator group) {
    long[] counts = ordered(group).values().stream().mapToLong(Long::longValue).toArray();
    return AttributeBalance.of(counts, AttributeBalance.even(counts.length)).entropy();
  }
}
