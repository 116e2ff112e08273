/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.ClassShares;
import io.github.flinkdiffusion.ops.quality.InceptionScore;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.ArrayData;

/**
 * {@code INCEPTION_SCORE(logits)}: the {@link InceptionScore} of a group's images as one part. NULL
 * without any.
 */
@Internal
public final class InceptionScoreFunction
    extends GroupAggregate<InceptionScoreFunction.Accumulator> {
  private static final long serialVersionUID = 1L;

  InceptionScoreFunction(boolean failing) {
    super("INCEPTION_SCORE", failing);
  }

  /** What is kept of a group. Public for Flink. */
  public static final class Accumulator extends Group {
    public long count;
    public double certainty;
    public double[] sums = {};

    private ClassShares of(int classes) {
      return new ClassShares(count, certainty, sums.length == 0 ? new double[classes] : sums);
    }

    private void set(ClassShares shares) {
      count = shares.count();
      certainty = shares.certainty();
      sums = shares.sums();
    }
  }

  @Override
  public Accumulator createAccumulator() {
    return new Accumulator();
  }

  public void accumulate(
      Accumulator group,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData logits) {
    arrays.use(logits, group.lengths, vector -> add(group, vector));
  }

  public void retract(
      Accumulator group,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData logits) {
    arrays.use(logits, group.lengths, vector -> remove(group, vector));
  }

  @Override
  void add(Accumulator group, double[] vector) {
    ClassShares shares = group.of(vector.length);
    shares.add(vector);
    group.set(shares);
  }

  @Override
  void remove(Accumulator group, double[] vector) {
    ClassShares shares = group.of(vector.length);
    shares.remove(vector);
    group.set(shares);
  }

  @Override
  void addAll(Accumulator group, Accumulator part) {
    ClassShares shares = group.of(part.sums.length);
    shares.add(part.of(part.sums.length));
    group.set(shares);
  }

  @Override
  long size(Accumulator group) {
    return group.count;
  }

  @Override
  double value(Accumulator group) {
    return group.of(group.lengths.features).score();
  }
}
