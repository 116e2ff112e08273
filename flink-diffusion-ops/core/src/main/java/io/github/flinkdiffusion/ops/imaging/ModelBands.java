/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.flink.annotation.Internal;

/**
 * How a picture's bands become those that a model sees. Opacity is left out; gray becomes three
 * equal bands, and color becomes gray by its luma (ITU-R BT.601, as Pillow's "L"). Measurements
 * mean nothing to a model that was trained on others, so who has more of them than the model says
 * which ones it sees.
 *
 * @param source the picture's band, from 0, for each of the model's; empty when the model sees luma
 * @param gray whether three equal bands are one of the picture's, and one again in the result
 */
@Internal
public record ModelBands(List<Integer> source, boolean gray) {
  private static final float[] LUMA = {0.299f, 0.587f, 0.114f};

  public ModelBands {
    source = List.copyOf(source);
  }

  /**
   * @param bands of the picture
   * @param channels of the picture
   * @param needed channels of the model's input
   * @param chosen bands from 1 that the model is to see, in its order; empty for the rules above
   * @throws ImageException when there is no rule, naming the numbers
   */
  public static ModelBands fit(Bands bands, int channels, int needed, List<Integer> chosen) {
    if (!chosen.isEmpty()) {
      if (chosen.size() != needed || chosen.stream().anyMatch(b -> b < 1 || b > channels)) {
        throw new ImageException(
            "Bands %s were selected of an image that has %d; select %d bands, each from 1 to %d"
                .formatted(chosen, channels, needed, channels));
      }
      return new ModelBands(chosen.stream().map(b -> b - 1).toList(), false);
    }
    int color = bands.hasAlpha() ? channels - 1 : channels;
    if (color == needed) {
      return new ModelBands(IntStream.range(0, needed).boxed().toList(), false);
    }
    if (color == 1 && needed == 3) {
      return new ModelBands(List.of(0, 0, 0), true);
    }
    if (color == 3 && needed == 1 && !bands.areMeasurements()) {
      return new ModelBands(List.of(), false);
    }
    throw new ImageException(
        "The image has %d bands and the model sees %d; select bands by number, such as %s"
            .formatted(
                color,
                needed,
                IntStream.rangeClosed(1, needed)
                    .mapToObj(Integer::toString)
                    .collect(Collectors.joining(";"))));
  }

  /**
   * A picture of one band, as a mask must be.
   *
   * @throws ImageException when there is no rule for its bands
   */
  public static Raster gray(Raster picture) {
    return fit(picture.format().bands(), picture.channels(), 1, List.of()).toModel(picture);
  }

  /** What the model sees of a part of the picture; format and metadata are a plain picture's. */
  public Raster toModel(Raster part) {
    int plane = part.height() * part.width();
    if (source.isEmpty()) {
      float[] luma = new float[plane];
      for (int i = 0; i < plane; i++) {
        for (int c = 0; c < LUMA.length; c++) {
          luma[i] += LUMA[c] * part.data()[c * plane + i];
        }
      }
      return new Raster(1, part.height(), part.width(), luma);
    }
    boolean same = source.size() == part.channels();
    for (int c = 0; c < source.size() && same; c++) {
      same = source.get(c) == c;
    }
    float[] seen = part.data();
    if (!same) {
      seen = new float[source.size() * plane];
      for (int c = 0; c < source.size(); c++) {
        System.arraycopy(part.data(), source.get(c) * plane, seen, c * plane, plane);
      }
    }
    return new Raster(source.size(), part.height(), part.width(), seen);
  }

  /**
   * Which samples of what the model sees hold no data, by those of the picture. Luma lacks data
   * where all colors do.
   */
  public Optional<NoDataMask> toModel(NoDataMask mask) {
    return source.isEmpty() ? mask.pixels(1) : mask.bands(source);
  }

  /**
   * Which samples of a result hold no data: of a picture like the source, as the bands that it was
   * made of; of anything else, where the model saw no data at all.
   *
   * @param mask of the picture, as large as the result
   * @param channels of the result, in the source's bands
   */
  Optional<NoDataMask> toResult(NoDataMask mask, int channels) {
    Optional<NoDataMask> seen = toModel(mask);
    return seen.flatMap(
        bands -> bands.channels() == channels ? Optional.of(bands) : bands.pixels(channels));
  }

  /** Channels of a result that is a picture like the source, made of so many of the model's. */
  public int resultChannels(int modelChannels) {
    return gray && modelChannels == 3 ? 1 : modelChannels;
  }

  /** A model's picture in the source's bands: what was gray is gray again, by its mean. */
  public Raster toSource(Raster result) {
    if (resultChannels(result.channels()) == result.channels()) {
      return result;
    }
    int plane = result.height() * result.width();
    float[] mean = new float[plane];
    for (int i = 0; i < plane; i++) {
      mean[i] = (result.data()[i] + result.data()[plane + i] + result.data()[2 * plane + i]) / 3;
    }
    return new Raster(1, result.height(), result.width(), mean);
  }

  /** The format of a result of so many channels, in the source's numbers. */
  public PixelFormat resultFormat(PixelFormat sourceFormat, int channels) {
    boolean sameBands =
        !sourceFormat.bands().hasAlpha()
            && !sourceFormat.bands().areMeasurements()
            && Bands.ofPicture(channels) == sourceFormat.bands();
    Bands bands =
        sameBands
            ? sourceFormat.bands()
            : channels == 1 ? Bands.GRAY : channels == 3 ? Bands.RGB : Bands.MEASUREMENTS;
    return sourceFormat.withBands(bands);
  }
}
