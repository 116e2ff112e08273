package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.FeatureDistance;
import io.github.flinkdiffusion.ops.quality.FeatureSample;
import java.util.Arrays;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.ArrayData;

/**
 * {@code KID(features, truth_features)}: {@link FeatureDistance#kernel(FeatureSample,
 * FeatureSample)} of a group, of at most {@link #MOST_VECTORS} different arrays of each set. NULL
 * while a set has fewer than two arrays.
 */
public final class KidFunction extends FeatureAggregate<KidFunction.Accumulator> {
  private static final long serialVersionUID = 1L;

  /** The size of a subset that KID is usually computed of. */
  static final int MOST_VECTORS = 1000;

  KidFunction(boolean failing) {
    super("KID", failing);
  }

  /** What is kept of a group. Public for Flink. */
  public static final class Accumulator {
    public Lengths lengths = new Lengths();
    public Sample pictures = new Sample();
    public Sample truths = new Sample();
  }

  /** A {@link FeatureSample} as Flink keeps it. */
  public static final class Sample {
    public long[] hashes = {};
    public long[] counts = {};
    public double[] vectors = {};
    public long threshold = Long.MAX_VALUE;

    private FeatureSample of(int features) {
      return new FeatureSample(features, MOST_VECTORS, hashes, counts, vectors, threshold);
    }

    private void set(FeatureSample sample) {
      hashes = sample.hashes();
      counts = sample.counts();
      vectors = sample.vectors();
      threshold = sample.threshold();
    }

    private void add(double[] vector) {
      FeatureSample sample = of(vector.length);
      if (sample.add(vector)) {
        set(sample);
      }
    }

    private void remove(double[] vector) {
      FeatureSample sample = of(vector.length);
      sample.remove(vector);
      set(sample);
    }

    private void add(Sample other, int features) {
      if (other.hashes.length == 0 && other.threshold == Long.MAX_VALUE) {
        return; // Of a part without arrays, not even their length is known.
      }
      FeatureSample sample = of(features);
      sample.add(other.of(features));
      set(sample);
    }

    private long count() {
      return Arrays.stream(counts).sum();
    }
  }

  @Override
  public Accumulator createAccumulator() {
    return new Accumulator();
  }

  public void accumulate(
      Accumulator group,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData features,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData truth) {
    use(features, group.lengths, group.pictures::add);
    use(truth, group.lengths, group.truths::add);
  }

  public void retract(
      Accumulator group,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData features,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData truth) {
    use(features, group.lengths, group.pictures::remove);
    use(truth, group.lengths, group.truths::remove);
  }

  public void merge(Accumulator group, Iterable<Accumulator> parts) {
    for (Accumulator part : parts) {
      if (agrees(part.lengths, group.lengths)) {
        group.pictures.add(part.pictures, group.lengths.features);
        group.truths.add(part.truths, group.lengths.features);
      }
    }
  }

  @Override
  public Double getValue(Accumulator group) {
    if (!hasValue(group.lengths)
        || Math.min(group.pictures.count(), group.truths.count()) < FeatureDistance.LEAST_SAMPLES) {
      return null;
    }
    return FeatureDistance.kernel(
        group.pictures.of(group.lengths.features), group.truths.of(group.lengths.features));
  }
}
