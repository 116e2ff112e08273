/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.quality;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.apache.flink.annotation.Internal;

/**
 * A sample of bounded size of the feature vectors that come and go. A vector is in it if its hash
 * is below a threshold, which falls whenever there would be more distinct vectors than the limit
 * allows. So the sample depends on the vectors alone: neither their order nor how they were spread
 * over several samples that are merged later shows in it. Equal vectors are held once, with their
 * number.
 *
 * <p>Not thread-safe.
 */
@Internal
public final class FeatureSample {
  private final int features;
  private final int limit;
  private int size;
  private long[] hashes;
  private long[] counts;
  private double[] vectors;
  private long threshold;

  /** None yet; of at most {@code limit} different vectors of so many features. */
  public FeatureSample(int features, int limit) {
    this(features, limit, new long[0], new long[0], new double[0], Long.MAX_VALUE);
  }

  /**
   * As {@link #hashes}, {@link #counts}, {@link #vectors} and {@link #threshold} gave them. The
   * arrays are not copied.
   *
   * @throws QualityException if they do not belong together
   */
  public FeatureSample(
      int features, int limit, long[] hashes, long[] counts, double[] vectors, long threshold) {
    if (features < 1
        || limit < 1
        || counts.length != hashes.length
        || vectors.length != hashes.length * features) {
      throw new QualityException(
          "A sample of %d vectors with %d counts and %d numbers, at most %d of %d features each; that does not belong together"
              .formatted(hashes.length, counts.length, vectors.length, limit, features));
    }
    this.features = features;
    this.limit = limit;
    this.size = hashes.length;
    this.hashes = hashes;
    this.counts = counts;
    this.vectors = vectors;
    this.threshold = threshold;
  }

  public int features() {
    return features;
  }

  /** Vectors in the sample, equal ones counted as often as they came. */
  public long count() {
    return Arrays.stream(counts, 0, size).sum();
  }

  /** Of the vectors, in no order. */
  public long[] hashes() {
    return Arrays.copyOf(hashes, size);
  }

  /** How often each vector came. */
  public long[] counts() {
    return Arrays.copyOf(counts, size);
  }

  /** The vectors' features, one vector after the other. */
  public double[] vectors() {
    return Arrays.copyOf(vectors, size * features);
  }

  /** Vectors with this hash or a greater one are not in the sample. */
  public long threshold() {
    return threshold;
  }

  /**
   * One vector more.
   *
   * @return whether that changed the sample
   */
  public boolean add(double[] vector) {
    return add(vector, 0, hash(require(vector)), 1);
  }

  /** One vector less, which must have been added. */
  public void remove(double[] vector) {
    int at = find(hash(require(vector)));
    if (at >= 0 && --counts[at] == 0) {
      drop(at);
    }
  }

  /** All vectors of the other. */
  public void add(FeatureSample other) {
    requireFeatures(other.features);
    threshold = Math.min(threshold, other.threshold);
    for (int i = size - 1; i >= 0; i--) {
      if (hashes[i] >= threshold) {
        drop(i);
      }
    }
    for (int i = 0; i < other.size; i++) {
      add(other.vectors, i * features, other.hashes[i], other.counts[i]);
    }
  }

  private boolean add(double[] from, int offset, long hash, long times) {
    if (hash >= threshold) {
      return false;
    }
    int at = find(hash);
    if (at >= 0) {
      counts[at] += times;
      return true;
    }
    if (size == hashes.length) {
      int capacity = Math.min(limit + 1, Math.max(4, 2 * size));
      hashes = Arrays.copyOf(hashes, capacity);
      counts = Arrays.copyOf(counts, capacity);
      vectors = Arrays.copyOf(vectors, capacity * features);
    }
    hashes[size] = hash;
    counts[size] = times;
    System.arraycopy(from, offset, vectors, size * features, features);
    size++;
    if (size > limit) {
      int greatest = 0;
      for (int i = 1; i < size; i++) {
        if (hashes[i] > hashes[greatest]) {
          greatest = i;
        }
      }
      threshold = hashes[greatest];
      drop(greatest);
    }
    return true;
  }

  /** The last one takes its place. */
  private void drop(int at) {
    size--;
    hashes[at] = hashes[size];
    counts[at] = counts[size];
    System.arraycopy(vectors, size * features, vectors, at * features, features);
  }

  private int find(long hash) {
    for (int i = 0; i < size; i++) {
      if (hashes[i] == hash) {
        return i;
      }
    }
    return -1;
  }

  private double[] require(double[] vector) {
    requireFeatures(vector.length);
    return vector;
  }

  private void requireFeatures(int found) {
    if (found != features) {
      throw new QualityException(
          "A vector has %d features; %d are needed".formatted(found, features));
    }
  }

  /** Never {@link Long#MAX_VALUE}, which is the threshold that lets all in. */
  private static long hash(double[] vector) {
    long hash = vector.length;
    for (double value : vector) {
      // Adding 0 makes one zero of the two.
      long bits = Double.doubleToLongBits(value + 0.0);
      hash = mixed(hash * 31 + mixed(bits));
    }
    return Math.min(hash, Long.MAX_VALUE - 1);
  }

  /** D. Stafford's thirteenth variant of the finisher of MurmurHash3. */
  private static long mixed(long bits) {
    long z = (bits ^ (bits >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }

  /** The different vectors, by hash. */
  double[][] rows() {
    int[] order = order();
    double[][] rows = new double[size][];
    for (int i = 0; i < size; i++) {
      rows[i] = Arrays.copyOfRange(vectors, order[i] * features, (order[i] + 1) * features);
    }
    return rows;
  }

  /** How often each of {@link #rows} came. */
  long[] orderedCounts() {
    return Arrays.stream(order()).mapToLong(i -> counts[i]).toArray();
  }

  /** Of all pairs of different ones. */
  double meanKernel() {
    int[] order = order();
    double sum = 0;
    for (int i = 0; i < size; i++) {
      int a = order[i];
      sum += (double) counts[a] * (counts[a] - 1) * kernel(this, a, this, a);
      for (int j = 0; j < i; j++) {
        int b = order[j];
        sum += 2.0 * counts[a] * counts[b] * kernel(this, a, this, b);
      }
    }
    double all = count();
    return sum / (all * (all - 1));
  }

  /** Of all pairs of one here and one there. */
  double meanKernel(FeatureSample other) {
    int[] order = order();
    int[] otherOrder = other.order();
    double sum = 0;
    for (int a : order) {
      for (int b : otherOrder) {
        sum += (double) counts[a] * other.counts[b] * kernel(this, a, other, b);
      }
    }
    return sum / ((double) count() * other.count());
  }

  /** By hash, so that equal samples give equal sums to the bit. */
  private int[] order() {
    return IntStream.range(0, size)
        .boxed()
        .sorted(Comparator.comparingLong(i -> hashes[i]))
        .mapToInt(Integer::intValue)
        .toArray();
  }

  private static double kernel(FeatureSample first, int a, FeatureSample second, int b) {
    int features = first.features;
    int x = a * features;
    int y = b * features;
    double product = 0;
    for (int i = 0; i < features; i++) {
      product += first.vectors[x + i] * second.vectors[y + i];
    }
    double base = product / features + 1;
    return base * base * base;
  }
}
