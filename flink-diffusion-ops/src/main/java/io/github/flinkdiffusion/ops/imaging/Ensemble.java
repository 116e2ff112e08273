package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import java.util.List;

/**
 * Several samples of one picture, each from its own seed, as one answer.
 *
 * @param mean of the samples; of samples that are masks, how likely each class is
 * @param spread one channel: the root of the samples' variance (divided by their number), a mean
 *     over channels; 0 where they agree
 */
public record Ensemble(Raster mean, Raster spread) {

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
