/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.FeatureDistance;
import io.github.flinkdiffusion.ops.quality.QualityException;
import java.util.function.Consumer;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.functions.AggregateFunction;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A distance of two sets of pictures by their features: a row has an array of the one, of the
 * other, or of both. An array that cannot be used (with a NULL or a number that is not finite in
 * it) is left out as a NULL is, with a line in the log, or fails the job; arrays of unequal lengths
 * in a group make its value NULL, or fail the job.
 *
 * @param <S> what is kept of a set
 * @param <A> what is kept of a group
 */
@Internal
public abstract class FeatureAggregate<
        S extends FeatureAggregate.Kept<S>, A extends FeatureAggregate.Group<S>>
    extends AggregateFunction<Double, A> {
  private static final long serialVersionUID = 1L;
  private static final Logger LOG = LoggerFactory.getLogger(FeatureAggregate.class);

  /** What is kept of a group grows with it, for {@code FID} with its square. */
  private static final int MOST_FEATURES = 4096;

  /** How many features a group's arrays have; part of what is kept. Public for Flink. */
  public static final class Lengths {
    /** Of the first array; 0 before there is one. */
    public int features;

    /** Of one that differs; 0 when none does. */
    public int other;
  }

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
    public Lengths lengths = new Lengths();
    public S pictures;
    public S truths;
  }

  private final String name;
  private final boolean failing;

  FeatureAggregate(String name, boolean failing) {
    this.name = name;
    this.failing = failing;
  }

  public void accumulate(
      A group,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData features,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData truth) {
    use(features, group.lengths, group.pictures::add);
    use(truth, group.lengths, group.truths::add);
  }

  public void retract(
      A group,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData features,
      @DataTypeHint(value = "ARRAY<DOUBLE>", bridgedTo = ArrayData.class) ArrayData truth) {
    use(features, group.lengths, group.pictures::remove);
    use(truth, group.lengths, group.truths::remove);
  }

  public void merge(A group, Iterable<A> parts) {
    for (A part : parts) {
      if (agrees(part.lengths, group.lengths)) {
        group.pictures.addAll(part.pictures, group.lengths.features);
        group.truths.addAll(part.truths, group.lengths.features);
      }
    }
  }

  @Override
  public Double getValue(A group) {
    return hasValue(group.lengths)
            && Math.min(group.pictures.size(), group.truths.size()) >= FeatureDistance.LEAST_SAMPLES
        ? distance(group.pictures, group.truths, group.lengths.features)
        : null;
  }

  /** Of two sets of at least {@link FeatureDistance#LEAST_SAMPLES} arrays each. */
  abstract double distance(S pictures, S truths, int features);

  /**
   * Uses an array's numbers, if there are any to be used and no other array of the group had
   * another length.
   */
  private void use(ArrayData array, Lengths lengths, Consumer<double[]> user) {
    if (array == null) {
      return;
    }
    double[] features;
    try {
      features = read(array);
    } catch (QualityException e) {
      if (failing) {
        throw e;
      }
      LOG.warn("{} skips an array: {}", name, e.getMessage());
      return;
    }
    if (agrees(features.length, lengths)) {
      user.accept(features);
    }
  }

  private static double[] read(ArrayData array) {
    int length = array.size();
    if (length < 1 || length > MOST_FEATURES) {
      throw new QualityException(
          "The array has %d features; 1 to %d are accepted".formatted(length, MOST_FEATURES));
    }
    double[] features = new double[length];
    for (int i = 0; i < length; i++) {
      if (array.isNullAt(i)) {
        throw new QualityException("Feature %d is NULL; all must be numbers".formatted(i));
      }
      features[i] = array.getDouble(i);
      if (!Double.isFinite(features[i])) {
        throw new QualityException(
            "Feature %d is %s; all must be finite".formatted(i, features[i]));
      }
    }
    return features;
  }

  /** Whether arrays of this length go with those that came before. */
  private boolean agrees(int length, Lengths lengths) {
    if (lengths.features == 0) {
      lengths.features = length;
    } else if (lengths.features != length && lengths.other == 0) {
      lengths.other = length;
      if (failing) {
        throw unequal(lengths);
      }
    }
    return lengths.other == 0;
  }

  /** Whether another part of the group, of which something is kept, goes with this one. */
  private boolean agrees(Lengths part, Lengths lengths) {
    boolean agrees = part.features == 0 || agrees(part.features, lengths);
    return agrees && (part.other == 0 || agrees(part.other, lengths));
  }

  /** Whether the group has a value; what it lacks is said in the log. */
  private boolean hasValue(Lengths lengths) {
    if (lengths.other != 0) {
      LOG.warn("{} returns NULL: {}", name, unequal(lengths).getMessage());
    }
    return lengths.features != 0 && lengths.other == 0;
  }

  private QualityException unequal(Lengths lengths) {
    return new QualityException(
        "A group has arrays of %d and of %d features; all arrays of %s must come from one network"
            .formatted(lengths.features, lengths.other, name));
  }
}
