/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.functions.AggregateFunction;

/**
 * A measure of two sets of pictures by their features: a row has an array of the one, of the other,
 * or of both. An array that cannot be used (with a NULL or a number that is not finite in it) is
 * left out as a NULL is, with a line in the log, or fails the job; arrays of unequal lengths in a
 * group make its value NULL, or fail the job.
 *
 * @param <S> what is kept of a set
 * @param <A> what is kept of a group
 * @param <V> the group's value
 */
@Internal
public abstract class FeatureAggregate<
        S extends FeatureAggregate.Kept<S>, A extends FeatureAggregate.Group<S>, V>
    extends AggregateFunction<V, A> {
  private static final long serialVersionUID = 1L;

  /**
   * What is kept of a set.
   *
   * @param <S> this type
   */
  interface Kept<S> {
    void add(double[] vector);

    void remove(double[] vector);

    /** Adds what another part of the group has kept. */
    void addAll(S other, int features);

    /** Arrays that this stands for. */
    long size();
  }

  /**
   * What is kept of a group. Public for Flink.
   *
   * @param <S> what is kept of a set
   */
  public abstract static class Group<S> {
    public FeatureArrays.Lengths lengths = new FeatureArrays.Lengths();
    public S pictures;
    public S truths;
  }

  private final FeatureArrays arrays;
  private final int leastSamples;

  /**
   * @param leastSamples arrays of each set without which there is no value
   */
  FeatureAggregate(String name, boolean failing, int leastSamples) {
    this.arrays = new FeatureArrays(name, failing);
    this.leastSamples = leastSamples;
  }

  public void accumulate(
      A group,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData features,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData truth) {
    arrays.use(features, group.lengths, group.pictures::add);
    arrays.use(truth, group.lengths, group.truths::add);
  }

  public void retract(
      A group,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData features,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData truth) {
    arrays.use(features, group.lengths, group.pictures::remove);
    arrays.use(truth, group.lengths, group.truths::remove);
  }

  public void merge(A group, Iterable<A> parts) {
    for (A part : parts) {
      if (arrays.agrees(part.lengths, group.lengths)) {
        group.pictures.addAll(part.pictures, group.lengths.features);
        group.truths.addAll(part.truths, group.lengths.features);
      }
    }
  }

  @Override
  public V getValue(A group) {
    return arrays.hasValue(group.lengths)
            && Math.min(group.pictures.size(), group.truths.size()) >= leastSamples
        ? value(group.pictures, group.truths, group.lengths.features)
        : null;
  }

  /** Of two sets that are large enough. */
  abstract V value(S pictures, S truths, int features);
}
