/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.TextAgreement;
import org.apache.flink.annotation.Internal;

/**
 * {@code R_PRECISION(image_features, text_features)}: {@link TextAgreement#precision} of a group's
 * pairs, of at most {@link KidFunction#MOST_VECTORS} different ones. NULL without any.
 */
@Internal
public final class TextPrecisionFunction extends PairAggregate<TextPrecisionFunction.Accumulator> {
  private static final long serialVersionUID = 1L;

  TextPrecisionFunction(boolean failing) {
    super("R_PRECISION", failing);
  }

  /** What is kept of a group. Public for Flink. */
  public static final class Accumulator extends Group {
    public KidFunction.Sample sample = new KidFunction.Sample();
  }

  @Override
  public Accumulator createAccumulator() {
    return new Accumulator();
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
    group.sample.addAll(part.sample, 2 * group.lengths.features);
  }

  @Override
  long size(Accumulator group) {
    return group.sample.size();
  }

  @Override
  double value(Accumulator group) {
    return TextAgreement.precision(group.sample.of(2 * group.lengths.features));
  }
}
