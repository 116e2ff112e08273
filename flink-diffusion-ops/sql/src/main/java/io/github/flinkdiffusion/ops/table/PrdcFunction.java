/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.Manifold;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.types.Row;

/**
 * {@code PRDC(features, truth_features)}: {@link Manifold} of a group with the {@value #NEAREST}
 * nearest, of at most {@link KidFunction#MOST_VECTORS} different arrays of each set. NULL while a
 * set has not more arrays than neighbors.
 */
@Internal
@FunctionHint(
    output =
        @DataTypeHint("ROW<`precision` DOUBLE, recall DOUBLE, density DOUBLE, coverage DOUBLE>"))
public final class PrdcFunction
    extends FeatureAggregate<KidFunction.Sample, KidFunction.Accumulator, Row> {
  private static final long serialVersionUID = 1L;

  /** As in the papers. */
  static final int NEAREST = 5;

  PrdcFunction(boolean failing) {
    super("PRDC", failing, NEAREST + 1);
  }

  @Override
  public KidFunction.Accumulator createAccumulator() {
    return new KidFunction.Accumulator();
  }

  @Override
  Row value(KidFunction.Sample pictures, KidFunction.Sample truths, int features) {
    Manifold manifold = Manifold.of(truths.of(features), pictures.of(features), NEAREST);
    return Row.of(manifold.precision(), manifold.recall(), manifold.density(), manifold.coverage());
  }
}
