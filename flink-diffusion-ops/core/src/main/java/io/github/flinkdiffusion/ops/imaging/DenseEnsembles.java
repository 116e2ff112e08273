/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DepthFreedom;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/** Ensembles of samples whose plain mean is no answer: depths and normals. */
final class DenseEnsembles {
  /** Rounds of fitting samples to their mean; each brings them about ten times nearer. */
  private static final int ROUNDS = 8;

  private static final double LEAST = 1e-6;

  private DenseEnsembles() {}

  /**
   * Depths that leave scale and shift open are first made comparable: each sample is stretched to
   * 0..1 and then, again and again, fitted to the mean of all by least squares. The answer is
   * stretched to 0..1, and the spread is in its unit. As Marigold does, with a closed form in place
   * of a numerical optimizer and the mean in place of the median.
   *
   * @param samples at least two, of one channel
   * @param noData pixels that hold no data: they follow the others, and decide nothing
   */
  static Ensemble depths(List<Raster> samples, DepthFreedom freedom, BitSet noData) {
    if (freedom == DepthFreedom.NONE) {
      return Ensemble.of(samples);
    }
    boolean shifts = freedom == DepthFreedom.SCALE_AND_SHIFT;
    List<double[]> aligned = new ArrayList<>();
    for (Raster sample : samples) {
      aligned.add(stretched(sample, shifts, noData));
    }
    for (int round = 0; round < ROUNDS; round++) {
      double[] mean = mean(aligned);
      aligned.replaceAll(sample -> fitted(sample, mean, shifts, noData));
      // All of them near 0 would fit best.
      Line unit = Line.toUnit(mean(aligned), shifts, noData);
      aligned.replaceAll(unit::of);
    }
    List<Raster> comparable = new ArrayList<>();
    for (int i = 0; i < aligned.size(); i++) {
      Raster like = samples.get(i);
      comparable.add(new Raster(1, like.height(), like.width(), floats(aligned.get(i))));
    }
    return Ensemble.of(comparable);
  }

  /** {@code scale * x + shift}. */
  private record Line(double scale, double shift) {

    /** Which brings the greatest value to 1, and the least to 0 if it may. */
    static Line toUnit(double[] values, boolean shifts, BitSet noData) {
      double least = shifts ? Double.POSITIVE_INFINITY : 0;
      double most = Double.NEGATIVE_INFINITY;
      for (int i = noData.nextClearBit(0); i < values.length; i = noData.nextClearBit(i + 1)) {
        least = shifts ? Math.min(least, values[i]) : 0;
        most = Math.max(most, values[i]);
      }
      if (most == Double.NEGATIVE_INFINITY) {
        return new Line(1, 0);
      }
      double scale = 1 / Math.max(LEAST, most - least);
      return new Line(scale, -scale * least);
    }

    double[] of(double[] values) {
      double[] moved = new double[values.length];
      for (int i = 0; i < values.length; i++) {
        moved[i] = scale * values[i] + shift;
      }
      return moved;
    }
  }

  private static double[] stretched(Raster sample, boolean shifts, BitSet noData) {
    double[] values = new double[sample.data().length];
    for (int i = 0; i < values.length; i++) {
      values[i] = sample.data()[i];
    }
    return Line.toUnit(values, shifts, noData).of(values);
  }

  /** By least squares. */
  private static double[] fitted(double[] sample, double[] target, boolean shifts, BitSet noData) {
    double centre = shifts ? mean(sample, noData) : 0;
    double targetCentre = shifts ? mean(target, noData) : 0;
    double together = 0;
    double square = 0;
    for (int i = noData.nextClearBit(0); i < sample.length; i = noData.nextClearBit(i + 1)) {
      together += (sample[i] - centre) * (target[i] - targetCentre);
      square += (sample[i] - centre) * (sample[i] - centre);
    }
    double scale = square > LEAST * LEAST ? together / square : 0;
    return new Line(scale, targetCentre - scale * centre).of(sample);
  }

  private static double mean(double[] values, BitSet noData) {
    double sum = 0;
    int count = 0;
    for (int i = noData.nextClearBit(0); i < values.length; i = noData.nextClearBit(i + 1)) {
      sum += values[i];
      count++;
    }
    return sum / Math.max(1, count);
  }

  private static double[] mean(List<double[]> samples) {
    double[] mean = new double[samples.get(0).length];
    for (double[] sample : samples) {
      for (int i = 0; i < mean.length; i++) {
        mean[i] += sample[i] / samples.size();
      }
    }
    return mean;
  }

  private static float[] floats(double[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
    }
    return floats;
  }

  /**
   * The mean direction, a unit vector again. The spread is the mean angle between it and the
   * samples', as a part of 180 degrees.
   *
   * @param samples of three channels, vectors' numbers -1..1 as 0..1
   */
  static Ensemble normals(List<Raster> samples) {
    Raster first = samples.get(0);
    int plane = first.height() * first.width();
    float[] answer = new float[3 * plane];
    float[] spread = new float[plane];
    for (int i = 0; i < plane; i++) {
      double[] sum = new double[3];
      for (Raster sample : samples) {
        for (int c = 0; c < 3; c++) {
          sum[c] += 2 * sample.data()[c * plane + i] - 1;
        }
      }
      double length = Math.max(LEAST, Math.sqrt(dot(sum, sum)));
      double angles = 0;
      for (Raster sample : samples) {
        double[] one = new double[3];
        for (int c = 0; c < 3; c++) {
          one[c] = 2 * sample.data()[c * plane + i] - 1;
        }
        double cosine = dot(one, sum) / length / Math.max(LEAST, Math.sqrt(dot(one, one)));
        angles += Math.acos(Math.max(-1, Math.min(1, cosine)));
      }
      for (int c = 0; c < 3; c++) {
        answer[c * plane + i] = (float) (sum[c] / length / 2 + 0.5);
      }
      spread[i] = (float) (angles / samples.size() / Math.PI);
    }
    return new Ensemble(
        new Raster(3, first.height(), first.width(), answer),
        new Raster(1, first.height(), first.width(), spread));
  }

  private static double dot(double[] a, double[] b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  }
}
