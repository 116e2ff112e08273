/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.DicomSegmentation;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.TiffWriter;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.pipeline.BoxStyle;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.function.IntFunction;
import java.util.function.UnaryOperator;

/** Puts results together that fit into memory. */
final class CompositionInMemory {
  private CompositionInMemory() {}

  static Composition compose(
      Composition.Order order, IntFunction<Raster> tiles, UnaryOperator<Raster> finish) {
    Raster stacked = Assembly.whole(order.plan(), order.first(), tiles);
    Optional<NoDataMask> noData = order.noData(0, stacked.height());
    Raster picture =
        finish.apply(order.picture(stacked, 0, noData)).withMetadata(order.pictureMetadata());
    String mediaType = order.format().losslessTypeOf(picture, order.sourceIsTiff());
    Optional<Artifact> mask = Optional.empty();
    Optional<Regions> regions = Optional.empty();
    if (order.classes().isPresent()) {
      ClassMap map = order.classes().get();
      Decision decision = order.decision(stacked, map);
      ImageMetadata besides = order.besides(Composition.MASK);
      mask =
          Optional.of(
              order.format() == ResultFormat.DICOM
                  ? Artifact.of(
                      DicomSegmentation.binary(
                          stacked.width(),
                          stacked.height(),
                          segments(decision.classes(), map, order.pixelsWithout(noData)),
                          besides),
                      ResultFormat.DICOM_TYPE)
                  : encodeMask(order.writtenMask(decision, map, noData), besides, mediaType));
      regions =
          Optional.of(
              Composition.finder(map)
                  .find(
                      decision.classes(),
                      order.pixelsWithout(noData),
                      order.isEnsemble()
                          ? Optional.of(pixel -> decision.score().data()[pixel])
                          : Optional.empty(),
                      order.scaledMetadata()));
    }
    if (order.meaning().boxes().isPresent()) {
      regions = Optional.of(boxes(order, order.meaning().boxes().get(), stacked));
    }
    Optional<Artifact> uncertainty =
        order.isEnsemble()
            ? Optional.of(
                encode(
                    order.uncertainty(stacked, mediaType.equals(ResultFormat.TIFF_TYPE), noData),
                    order.besides(Composition.UNCERTAINTY),
                    mediaType))
            : Optional.empty();
    return new Composition(
        picture.width(),
        picture.height(),
        order.format() == ResultFormat.DICOM && order.isShares()
            ? shares(picture, order.classes().orElseThrow())
            : encode(
                picture,
                picture.metadata(),
                order.answerIsLikeTheSource()
                    ? order.format().mediaTypeOf(picture, order.sourceIsTiff())
                    : mediaType),
        mask,
        uncertainty,
        regions);
  }

  /**
   * A segment for each class that is something.
   *
   * @param without pixels that hold no data, and so are in none
   */
  static List<DicomSegmentation.Segment> segments(
      ClassRaster classes, ClassMap map, BitSet without) {
    List<DicomSegmentation.Segment> segments = new ArrayList<>();
    for (int number = 0; number < map.classes(); number++) {
      if (map.isBackground(number)) {
        continue;
      }
      float[] inside = new float[classes.numbers().length];
      for (int i = 0; i < inside.length; i++) {
        inside[i] = (classes.numbers()[i] & 0xFF) == number && !without.get(i) ? 1 : 0;
      }
      segments.add(new DicomSegmentation.Segment(map.labels().get(number), inside));
    }
    return segments;
  }

  /** How likely each pixel is inside. */
  private static Artifact shares(Raster picture, ClassMap map) {
    return Artifact.of(
        DicomSegmentation.fractional(
            picture.width(),
            picture.height(),
            List.of(new DicomSegmentation.Segment(map.labels().get(1), picture.data())),
            picture.metadata()),
        ResultFormat.DICOM_TYPE);
  }

  /** What a model has drawn, and not what the image had before. */
  private static Regions boxes(Composition.Order order, BoxStyle style, Raster stacked) {
    Scene scene = order.scene();
    Raster drawn = Assembly.channels(stacked, 0, order.channels());
    boolean same = scene.width() == drawn.width() && scene.height() == drawn.height();
    Optional<Raster> before =
        same
            ? Optional.of(
                order.bands().toModel(scene.read(new Window(0, 0, scene.width(), scene.height()))))
            : Optional.empty();
    return new BoxReader(style).read(drawn, before, RegionFinder.Limits.DEFAULT.regions());
  }

  /** Numbers of classes have no means. */
  private static Artifact encodeMask(Raster mask, ImageMetadata metadata, String mediaType) {
    return mediaType.equals(ResultFormat.TIFF_TYPE)
        ? Artifact.of(
            TiffWriter.encode(mask.withMetadata(metadata), TiffWriter.Overviews.FIRST), mediaType)
        : encode(mask, metadata, mediaType);
  }

  private static Artifact encode(Raster raster, ImageMetadata metadata, String mediaType) {
    return Artifact.of(Images.write(raster.withMetadata(metadata), mediaType), mediaType);
  }
}
