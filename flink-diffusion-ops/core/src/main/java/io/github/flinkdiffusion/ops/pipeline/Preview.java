/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;

/**
 * A trajectory made small for a look at it: the sample is averaged over squares and its clean part
 * is estimated, so that the model's own decoder, which takes any size, makes a small picture of it.
 * That works for every model, without weights of its own.
 */
final class Preview {
  /**
   * Longest side of the small sample; of a latent, the picture is as many times the scale factor.
   */
  private static final int LONGEST_SIDE = 32;

  private Preview() {}

  /** A small stand-in of what the trajectory has come to. */
  static Sample of(DenoisingTrajectory trajectory) {
    Sample whole = trajectory.sample();
    SampleShape shape = whole.shape();
    int square = square(shape);
    SampleShape small = small(shape);
    SamplingPlan plan = trajectory.state().plan();
    int call = trajectory.step();
    double scale = cleanPart(plan.signalLevel(call), plan.noiseLevel(call), square);
    float[] clean = averages(whole.values(), shape, small, square, scale);
    return new Sample(whole.request(), whole.rows(), small, clean);
  }

  /** The stand-in's shape. */
  static SampleShape small(SampleShape shape) {
    int square = square(shape);
    return new SampleShape(
        shape.channels(), ceilDiv(shape.height(), square), ceilDiv(shape.width(), square));
  }

  /** Side of the squares that are averaged over. */
  private static int square(SampleShape shape) {
    return ceilDiv(Math.max(shape.height(), shape.width()), LONGEST_SIDE);
  }

  /**
   * The factor from an average of {@code signal * clean + noise * standard noise} to the most
   * likely clean value (Wiener's), for clean values of variance 1; averaging has divided the
   * noise's deviation by the square's side.
   */
  private static double cleanPart(double signal, double noise, int square) {
    double averagedNoise = noise / square;
    return signal / (signal * signal + averagedNoise * averagedNoise);
  }

  private static int ceilDiv(int length, int square) {
    return (length + square - 1) / square;
  }

  private static float[] averages(
      float[] sample, SampleShape shape, SampleShape small, int square, double scale) {
    float[] averages = new float[small.size()];
    for (int c = 0; c < shape.channels(); c++) {
      for (int y = 0; y < small.height(); y++) {
        for (int x = 0; x < small.width(); x++) {
          int bottom = Math.min(shape.height(), (y + 1) * square);
          int right = Math.min(shape.width(), (x + 1) * square);
          double sum = 0;
          for (int i = y * square; i < bottom; i++) {
            for (int j = x * square; j < right; j++) {
              sum += sample[(c * shape.height() + i) * shape.width() + j];
            }
          }
          int values = (bottom - y * square) * (right - x * square);
          averages[(c * small.height() + y) * small.width() + x] = (float) (scale * sum / values);
        }
      }
    }
    return averages;
  }
}
