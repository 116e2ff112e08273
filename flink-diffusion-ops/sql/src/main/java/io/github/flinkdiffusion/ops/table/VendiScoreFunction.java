/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.Diversity;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.ArrayData;

/**
 * {@code VENDI_SCORE(features)}: {@link Diversity#vendi} of a group, of at most {@link
 * KidFunction#MOST_VECTORS} different arrays. NULL without any.
 */
@Internal
public final class VendiScoreFunction extends GroupAggregate<VendiScoreFunction.Accumulator> {
  private static final long serialVersionUID = 1L;

  VendiScoreFunction(boolean failing) {
    super("VENDI_SCORE", failing);
  }

  /** What is kept of a group. Public for Flink. */
  public static final class Accumulator extends Group {
    public KidFunction.Sample sample = new KidFunction.Sample();
  }

  @Override
  public Accumulator createAccumulator() {
    return new Accumulator();
  }

  public void accumulate(
      Accumulator group,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData features) {
    arrays.useDirection(features, group.lengths, vector -> add(group, vector));
  }

  public void retract(
      Accumulator group,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData features) {
    arrays.useDirection(features, group.lengths, vector -> remove(group, vector));
  }

  @Override
  void add(Accumulator group, double[] vector) {
    group.sample.add(vector);
  }

  @Override
  void remove(Accumulator group, double[] vector) {
    group.sample.remove(vector);
  }

  @Override
  void addAll(Accumulator group, Accumulator part) {
    group.sample.addAll(part.sample, group.lengths.features);
  }

  @Override
  long size(Accumulator group) {
    return group.sample.size();
  }

  @Override
  double value(Accumulator group) {
    return Diversity.vendi(group.sample.of(group.lengths.features));
  }
}
