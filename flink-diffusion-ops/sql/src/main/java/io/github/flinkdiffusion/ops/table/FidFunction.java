package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.FeatureDistance;
import io.github.flinkdiffusion.ops.quality.FeatureMoments;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.ArrayData;

/**
 * {@code FID(features, truth_features)}: {@link FeatureDistance#frechet(FeatureMoments,
 * FeatureMoments)} of a group. NULL while a set has fewer than two arrays.
 */
public final class FidFunction extends FeatureAggregate<FidFunction.Accumulator> {
  private static final long serialVersionUID = 1L;

  FidFunction(boolean failing) {
    super("FID", failing);
  }

  /** What is kept of a group. Public for Flink. */
  public static final class Accumulator {
    public Lengths lengths = new Lengths();
    public Moments pictures = new Moments();
    public Moments truths = new Moments();
  }

  /** {@link FeatureMoments} as Flink keeps them. */
  public static final class Moments {
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

    private void add(double[] vector) {
      FeatureMoments moments = of(vector.length);
      moments.add(vector);
      set(moments);
    }

    private void remove(double[] vector) {
      FeatureMoments moments = of(vector.length);
      moments.remove(vector);
      set(moments);
    }

    private void add(Moments other) {
      if (other.count > 0) {
        FeatureMoments moments = of(other.mean.length);
        moments.add(other.of(other.mean.length));
        set(moments);
      }
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
        group.pictures.add(part.pictures);
        group.truths.add(part.truths);
      }
    }
  }

  @Override
  public Double getValue(Accumulator group) {
    if (!hasValue(group.lengths)
        || Math.min(group.pictures.count, group.truths.count) < FeatureDistance.LEAST_SAMPLES) {
      return null;
    }
    return FeatureDistance.frechet(
        group.pictures.of(group.lengths.features), group.truths.of(group.lengths.features));
  }
}
