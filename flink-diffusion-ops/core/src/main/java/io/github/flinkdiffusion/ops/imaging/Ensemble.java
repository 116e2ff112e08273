/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import java.util.BitSet;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * Several samples of one picture, each from its own seed, as one answer.
 *
 * @param mean of the samples; of samples that are masks, how likely each class is
 * @param spread one channel: the root of the samples' variance (divided by their number), a mean
 *     over channels; 0 where they agree
 */
@Internal
public record Ensemble(Raster mean, Raster spread) {
  /** More than that is a mistake rather than a wish. */
  public static final int MOST_SAMPLES = 64;

  /**
   * @param samples at least one, of equal sizes
   */
  public static Ensemble of(List<Raster> samples) {
    Raster first = samples.get(0);
    int n = samples.size();
    int plane = first.height() * first.width();
    float[] mean = new float[first.data().length];
    double[] variance = new double[plane];
    for (int i = 0; i < mean.length; i++) {
      double sum = 0;
      double squares = 0;
      for (Raster sample : samples) {
        double value = sample.data()[i];
        sum += value;
        squares += value * value;
      }
      mean[i] = (float) (sum / n);
      variance[i % plane] += Math.max(0, squares / n - sum / n * (sum / n)) / first.channels();
    }
    float[] spread = new float[plane];
    for (int i = 0; i < plane; i++) {
      spread[i] = (float) Math.sqrt(variance[i]);
    }
    return new Ensemble(
        new Raster(
            first.channels(),
            first.height(),
            first.width(),
            mean,
            first.format(),
            first.metadata()),
        new Raster(1, first.height(), first.width(), spread));
  }

  /**
   * What samples of one picture come to: one by itself, several as an answer with the spread behind
   * its channels. Of a segmentation, it is the shares of its classes.
   *
   * @param samples at least one, of equal sizes
   * @param meaning what they say
   */
  public static Raster reduced(List<Raster> samples, ResultMeaning meaning) {
    return reduced(samples, meaning, new BitSet());
  }

  /**
   * As {@link #reduced(List, ResultMeaning)}, where samples are made comparable by what holds data.
   *
   * @param noData pixels that hold none, {@code y * width + x}
   */
  public static Raster reduced(List<Raster> samples, ResultMeaning meaning, BitSet noData) {
    Ensemble answer = answer(samples, meaning, noData);
    return samples.size() == 1 ? answer.mean() : answer.stacked();
  }

  /**
   * What samples of one picture come to, compared as their meaning asks for; the spread of one
   * sample is 0. Of a segmentation, it is about the shares of its classes.
   *
   * @param samples at least one, of equal sizes
   * @param meaning what they say
   */
  public static Ensemble answer(List<Raster> samples, ResultMeaning meaning) {
    return answer(samples, meaning, new BitSet());
  }

  /**
   * As {@link #answer(List, ResultMeaning)}, where samples are made comparable by what holds data.
   *
   * @param noData pixels that hold none, {@code y * width + x}
   */
  public static Ensemble answer(List<Raster> samples, ResultMeaning meaning, BitSet noData) {
    if (meaning.classes().isPresent()) {
      return classes(samples, meaning.classes().get());
    }
    if (samples.size() == 1) {
      return alone(samples.get(0));
    }
    return switch (meaning.kind()) {
      case PICTURE, BOXES -> of(samples);
      case MASK, TEXT -> throw new IllegalArgumentException("No image: " + meaning);
      case DEPTH -> DenseEnsembles.depths(samples, meaning.depths().orElseThrow(), noData);
      case NORMALS -> DenseEnsembles.normals(samples);
    };
  }

  /**
   * The mean of what samples say is an answer, not that of samples. One that is not sure enough
   * says nothing; how much the samples differ stays.
   */
  private static Ensemble classes(List<Raster> samples, ClassMap classes) {
    List<Raster> said = samples.stream().map(classes::shares).toList();
    Ensemble answer = said.size() == 1 ? alone(said.get(0)) : of(said);
    return classes.certainty().empties(answer.mean())
        ? new Ensemble(nothing(answer.mean()), answer.spread())
        : answer;
  }

  private static Raster nothing(Raster like) {
    return new Raster(
        like.channels(),
        like.height(),
        like.width(),
        new float[like.data().length],
        like.format(),
        like.metadata());
  }

  private static Ensemble alone(Raster sample) {
    return new Ensemble(sample, Raster.filled(1, sample.height(), sample.width(), 0));
  }

  /** The mean's channels and behind them the spread, as one raster of measurements. */
  public Raster stacked() {
    float[] all = new float[mean.data().length + spread.data().length];
    System.arraycopy(mean.data(), 0, all, 0, mean.data().length);
    System.arraycopy(spread.data(), 0, all, mean.data().length, spread.data().length);
    return new Raster(
        mean.channels() + 1,
        mean.height(),
        mean.width(),
        all,
        PixelFormat.of(Bands.MEASUREMENTS, SampleType.FLOAT32),
        ImageMetadata.NONE);
  }
}
