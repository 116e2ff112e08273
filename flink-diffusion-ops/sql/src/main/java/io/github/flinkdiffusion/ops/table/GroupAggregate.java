/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import org.apache.flink.annotation.Internal;
import org.apache.flink.table.functions.AggregateFunction;

/**
 * A measure of one set of images or of pairs of image and text, by their arrays. What cannot be
 * used is left out or fails the job, as {@link FeatureArrays} says.
 *
 * @param <A> what is kept of a group
 */
@Internal
public abstract class GroupAggregate<A extends GroupAggregate.Group>
    extends AggregateFunction<Double, A> {
  private static final long serialVersionUID = 1L;

  /** What is kept of a group. Public for Flink. */
  public abstract static class Group {
    public FeatureArrays.Lengths lengths = new FeatureArrays.Lengths();
  }

  final FeatureArrays arrays;

  GroupAggregate(String name, boolean failing) {
    this.arrays = new FeatureArrays(name, failing);
  }

  public void merge(A group, Iterable<A> parts) {
    for (A part : parts) {
      if (arrays.agrees(part.lengths, group.lengths) && part.lengths.features > 0) {
        addAll(group, part);
      }
    }
  }

  @Override
  public Double getValue(A group) {
    return arrays.hasValue(group.lengths) && size(group) > 0 ? value(group) : null;
  }

  abstract void add(A group, double[] vector);

  abstract void remove(A group, double[] vector);

  /** Adds a part of the group to which rows were added, and perhaps all of them removed. */
  abstract void addAll(A group, A part);

  /** Rows that are kept. */
  abstract long size(A group);

  /** Of at least one row. */
  abstract double value(A group);
}
