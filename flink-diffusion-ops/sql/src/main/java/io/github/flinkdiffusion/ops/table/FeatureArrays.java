/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.quality.QualityException;
import java.io.Serializable;
import java.util.Arrays;
import java.util.function.Consumer;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.data.ArrayData;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads the arrays that aggregate functions get. An array that cannot be used (with a NULL or a
 * number that is not finite in it) is left out as a NULL is, with a line in the log, or fails the
 * job; arrays of unequal lengths in a group make its value NULL, or fail the job.
 */
@Internal
public final class FeatureArrays implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final Logger LOG = LoggerFactory.getLogger(FeatureArrays.class);

  /** What is kept of a group grows with it, for {@code FID} with its square. */
  private static final int MOST_FEATURES = 4096;

  /** How many features a group's arrays have; part of what is kept. Public for Flink. */
  public static final class Lengths {
    /** Of the first array; 0 before there is one. */
    public int features;

    /** Of one that differs; 0 when none does. */
    public int other;
  }

  private final String name;
  private final boolean failing;

  FeatureArrays(String name, boolean failing) {
    this.name = name;
    this.failing = failing;
  }

  /**
   * Uses an array's numbers, if there are any to be used and no other array of the group had
   * another length.
   */
  void use(ArrayData array, Lengths lengths, Consumer<double[]> user) {
    use(array, false, lengths, user);
  }

  /**
   * Uses two arrays of equal length as one, the second after the first, if both can be used. Zeros
   * only are not accepted: they have no direction.
   */
  void usePair(ArrayData first, ArrayData second, Lengths lengths, Consumer<double[]> user) {
    if (first == null || second == null) {
      return;
    }
    double[] one = usable(first, true);
    double[] two = usable(second, true);
    if (one != null && two != null && agrees(one.length, lengths) && agrees(two.length, lengths)) {
      double[] both = Arrays.copyOf(one, 2 * one.length);
      System.arraycopy(two, 0, both, one.length, two.length);
      user.accept(both);
    }
  }

  /** Uses an array as {@link #use} does, unless it has zeros only. */
  void useDirection(ArrayData array, Lengths lengths, Consumer<double[]> user) {
    use(array, true, lengths, user);
  }

  private void use(ArrayData array, boolean directed, Lengths lengths, Consumer<double[]> user) {
    if (array == null) {
      return;
    }
    double[] features = usable(array, directed);
    if (features != null && agrees(features.length, lengths)) {
      user.accept(features);
    }
  }

  /** Null where it cannot be used, with a line in the log. */
  private double[] usable(ArrayData array, boolean directed) {
    try {
      double[] features = read(array);
      if (directed && Arrays.stream(features).allMatch(value -> value == 0)) {
        throw new QualityException(
            "The array has zeros only; one that differs from 0 is needed for a direction");
      }
      return features;
    } catch (QualityException e) {
      if (failing) {
        throw OnError.failingTheJob(e);
      }
      LOG.warn("{} skips an array: {}", name, e.getMessage());
      return null;
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
        throw OnError.failingTheJob(unequal(lengths));
      }
    }
    return lengths.other == 0;
  }

  /** Whether another part of the group, of which something is kept, goes with this one. */
  boolean agrees(Lengths part, Lengths lengths) {
    boolean agrees = part.features == 0 || agrees(part.features, lengths);
    return agrees && (part.other == 0 || agrees(part.other, lengths));
  }

  /** Whether the group has a value; what it lacks is said in the log. */
  boolean hasValue(Lengths lengths) {
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
