/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import io.github.flinkdiffusion.ops.pipeline.ResultKind;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * What a model's answers are as images that are written, where they say nothing of a source: see
 * {@link Composition}.
 */
@Internal
public final class AnswerRasters {
  /** What masks of more classes than two, and fewer than this, have where there is no data. */
  static final int NO_CLASS = 255;

  private AnswerRasters() {}

  /**
   * An answer's picture as it is written, where it says nothing of a source: what a binary
   * segmentation, depth and normals measure is 16 bits over 0..1, other classes are painted.
   *
   * @param mean of {@link Ensemble#answer}
   */
  public static Raster picture(Raster mean, ResultMeaning meaning) {
    return switch (meaning.kind()) {
      case PICTURE, BOXES -> mean;
      case MASK -> {
        ClassMap map = meaning.classes().orElseThrow();
        yield map.encoding() == ClassMap.Encoding.BINARY
            ? measurement(mean)
            : ClassPictures.painted(Decision.of(map, mean).classes(), map);
      }
      case DEPTH, NORMALS -> measurement(mean);
      case TEXT -> throw new IllegalArgumentException("A text is no image.");
    };
  }

  /**
   * As {@link #picture(Raster, ResultMeaning)}, without data where what the model saw has none.
   *
   * @param noData of the model's image, in the answer's size
   */
  public static Raster picture(Raster mean, ResultMeaning meaning, Optional<NoDataMask> noData) {
    Raster picture = picture(mean, meaning);
    boolean alike = meaning.kind() == ResultKind.PICTURE || meaning.kind() == ResultKind.BOXES;
    return noData
        .filter(mask -> alike && mask.channels() == picture.channels())
        .map(picture::masked)
        .orElseGet(() -> withoutPixels(picture, noData));
  }

  /**
   * A segmentation's mask as it is written: white inside, or the numbers of more classes than two.
   */
  public static Raster mask(Decision decision, ClassMap map) {
    ClassRaster classes = decision.classes();
    if (map.classes() > 2) {
      return classes.toRaster();
    }
    float[] inside = new float[classes.numbers().length];
    for (int i = 0; i < inside.length; i++) {
      inside[i] = classes.numbers()[i];
    }
    return new Raster(1, classes.height(), classes.width(), inside);
  }

  /** As {@link #mask(Decision, ClassMap)}, as {@link #picture(Raster, ResultMeaning, Optional)}. */
  public static Raster mask(Decision decision, ClassMap map, Optional<NoDataMask> noData) {
    return withoutPixels(maskOf(decision, map, noData.isPresent()), noData);
  }

  /** An ensemble's spread as it is written into PNG files: 16 bits over 0..1. */
  public static Raster uncertainty(Raster spread) {
    return spread.withFormat(PixelFormat.of(Bands.GRAY, SampleType.UINT16));
  }

  /** As {@link #uncertainty(Raster)}, as {@link #picture(Raster, ResultMeaning, Optional)}. */
  public static Raster uncertainty(Raster spread, Optional<NoDataMask> noData) {
    return withoutPixels(uncertainty(spread), noData);
  }

  /** A number beyond those of the classes says that there is no data, if there is one. */
  static Raster maskOf(Decision decision, ClassMap map, boolean mayLackData) {
    Raster mask = mask(decision, map);
    boolean free = map.classes() > 2 && map.classes() <= NO_CLASS && mayLackData;
    return free ? mask.withFormat(mask.format().withNoData(NO_CLASS)) : mask;
  }

  /** Pixels of which the model saw no data in any band. */
  static Raster withoutPixels(Raster raster, Optional<NoDataMask> seen) {
    return seen.flatMap(mask -> mask.pixels(raster.channels())).map(raster::masked).orElse(raster);
  }

  private static Raster measurement(Raster mean) {
    Bands bands = mean.channels() == 2 ? Bands.MEASUREMENTS : Bands.ofPicture(mean.channels());
    return mean.withFormat(PixelFormat.of(bands, SampleType.UINT16));
  }
}
