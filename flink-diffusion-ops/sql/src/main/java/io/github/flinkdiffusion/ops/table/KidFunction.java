/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.FeatureDistance;
import io.github.flinkdiffusion.ops.quality.FeatureSample;
import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * {@code KID(features, truth_features)}: {@link FeatureDistance#kernel(FeatureSample,
 * FeatureSample)} of a group, of at most {@link #MOST_VECTORS} different arrays of each set. NULL
 * while a set has fewer than two arrays.
 */
@Internal
public final class KidFunction
    extends FeatureAggregate<KidFunction.Sample, KidFunction.Accumulator, Double> {
  private static final long serialVersionUID = 1L;

  /** The size of a subset that KID is usually computed of. */
  static final int MOST_VECTORS = 1000;

  KidFunction(boolean failing) {
    super("KID", failing, FeatureDistance.LEAST_SAMPLES);
  }

  /** What is kept of a group. Public for Flink. */
  public static final class Accumulator extends Group<Sample> {
    public Accumulator() {
      pictures = new Sample();
      truths = new Sample();
    }
  }

  /** A {@link FeatureSample} as Flink keeps it. */
  public static final class Sample implements Kept<Sample> {
    public long[] hashes = {};
    public long[] counts = {};
    public double[] vectors = {};
    public long threshold = Long.MAX_VALUE;

    FeatureSample of(int features) {
      return new FeatureSample(features, MOST_VECTORS, hashes, counts, vectors, threshold);
    }

    private void set(FeatureSample sample) {
      hashes = sample.hashes();
      counts = sample.counts();
      vectors = sample.vectors();
      threshold = sample.threshold();
    }

    @Override
    public void add(double[] vector) {
      FeatureSample sample = of(vector.length);
      if (sample.add(vector)) {
        set(sample);
      }
    }

    @Override
    public void remove(double[] vector) {
      FeatureSample sample = of(vector.length);
      sample.remove(vector);
      set(sample);
    }

    @Override
    public void addAll(Sample other, int features) {
      if (other.hashes.length == 0 && other.threshold == Long.MAX_VALUE) {
        return; // Of a part without arrays, not even their length is known.
      }
      FeatureSample sample = of(features);
      sample.add(other.of(features));
      set(sample);
    }

    @Override
    public long size() {
      return Arrays.stream(counts).sum();
    }
  }

  @Override
  public Accumulator createAccumulator() {
    return new Accumulator();
  }

  @Override
  Double value(Sample pictures, Sample truths, int features) {
    return FeatureDistance.kernel(pictures.of(features), truths.of(features));
  }
}
