/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.TextAgreement;
import org.apache.flink.annotation.Internal;

/**
 * {@code CLIP_SCORE(image_features, text_features)}: {@link TextAgreement#clipScore} of a group's
 * pairs. NULL without any.
 */
@Internal
public final class ClipScoreFunction extends PairAggregate<ClipScoreFunction.Accumulator> {
  private static final long serialVersionUID = 1L;

  ClipScoreFunction(boolean failing) {
    super("CLIP_SCORE", failing);
  }

  /** What is kept of a group. Public for Flink. */
  public static final class Accumulator extends Group {
    public long count;
    public double cosines;
  }

  @Override
  public Accumulator createAccumulator() {
    return new Accumulator();
  }

  @Override
  void add(Accumulator group, double[] vector) {
    group.count++;
    group.cosines += TextAgreement.cosine(vector);
  }

  @Override
  void remove(Accumulator group, double[] vector) {
    group.count--;
    group.cosines -= TextAgreement.cosine(vector);
  }

  @Override
  void addAll(Accumulator group, Accumulator part) {
    group.count += part.count;
    group.cosines += part.cosines;
  }

  @Override
  long size(Accumulator group) {
    return group.count;
  }

  @Override
  double value(Accumulator group) {
    return Math.max(0, 100 * group.cosines / group.count);
  }
}
