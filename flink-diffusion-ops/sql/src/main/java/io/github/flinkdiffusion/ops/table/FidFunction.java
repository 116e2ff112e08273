/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.FeatureDistance;
import io.github.flinkdiffusion.ops.quality.FeatureMoments;
import org.apache.flink.annotation.Internal;

/**
 * {@code FID(features, truth_features)}: {@link FeatureDistance#frechet(FeatureMoments,
 * FeatureMoments)} of a group. NULL while a set has fewer than two arrays.
 */
@Internal
public final class FidFunction
    extends FeatureAggregate<FidFunction.Moments, FidFunction.Accumulator, Double> {
  private static final long serialVersionUID = 1L;

  FidFunction(boolean failing) {
    super("FID", failing, FeatureDistance.LEAST_SAMPLES);
  }

  /** What is kept of a group. Public for Flink. */
  public static final class Accumulator extends Group<Moments> {
    public Accumulator() {
      pictures = new Moments();
      truths = new Moments();
    }
  }

  /** {@link FeatureMoments} as Flink keeps them. */
  public static final class Moments implements Kept<Moments> {
    public long count;
    public double[] mean = {};
    public double[] scatter = {};

    private FeatureMoments of(int features) {
      return mean.length == 0
          ? new FeatureMoments(features)
          : new FeatureMoments(count, mean, scatter);
    }

    private void set(FeatureMoments moments) {
      count = moments.count();
      mean = moments.mean();
      scatter = moments.scatter();
    }

    @Override
    public void add(double[] vector) {
      FeatureMoments moments = of(vector.length);
      moments.add(vector);
      set(moments);
    }

    @Override
    public void remove(double[] vector) {
      FeatureMoments moments = of(vector.length);
      moments.remove(vector);
      set(moments);
    }

    @Override
    public void addAll(Moments other, int features) {
      if (other.count > 0) {
        FeatureMoments moments = of(features);
        moments.add(other.of(features));
        set(moments);
      }
    }

    @Override
    public long size() {
      return count;
    }
  }

  @Override
  public Accumulator createAccumulator() {
    return new Accumulator();
  }

  @Override
  Double value(Moments pictures, Moments truths, int features) {
    return FeatureDistance.frechet(pictures.of(features), truths.of(features));
  }
}
