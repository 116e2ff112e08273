/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.TiffWriter;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.IntFunction;
import java.util.stream.Stream;

/** Composes a result that does not fit into memory: rows go into TIFF files as they come. */
final class CompositionInFiles {
  private CompositionInFiles() {}

  static Composition compose(Composition.Order order, IntFunction<Raster> tiles) {
    RowFile picture = new RowFile(order, order.pictureMetadata());
    Optional<Segments> segments = order.classes().map(map -> new Segments(order, map));
    Optional<RowFile> uncertainty =
        order.isEnsemble()
            ? Optional.of(new RowFile(order, order.besides(Composition.UNCERTAINTY)))
            : Optional.empty();
    int[] top = {0};
    try {
      Assembly.assemble(
          order.plan(),
          order.first(),
          tiles,
          rows -> {
            Optional<NoDataMask> noData = order.noData(top[0], rows.height());
            picture.append(order.picture(rows, top[0], noData));
            top[0] += rows.height();
            segments.ifPresent(found -> found.append(rows, noData));
            uncertainty.ifPresent(file -> file.append(order.uncertainty(rows, true, noData)));
          });
      return new Composition(
          order.plan().resultWidth(order.first()),
          order.plan().resultHeight(order.first()),
          picture.artifact(),
          segments.map(found -> found.mask.artifact()),
          uncertainty.map(RowFile::artifact),
          segments.flatMap(Segments::regions));
    } catch (RuntimeException | Error e) {
      Stream.of(Optional.of(picture), segments.map(found -> found.mask), uncertainty)
          .flatMap(Optional::stream)
          .forEach(file -> file.discard(e));
      throw e;
    }
  }

  /** A TIFF file that is written from the top; made with the first rows, which tell its format. */
  private static final class RowFile {
    private final Composition.Order order;
    private final ImageMetadata metadata;
    private final TiffWriter.Overviews overviews;
    private Path path;
    private TiffWriter writer;

    RowFile(Composition.Order order, ImageMetadata metadata) {
      this(order, metadata, TiffWriter.Overviews.MEAN);
    }

    RowFile(Composition.Order order, ImageMetadata metadata, TiffWriter.Overviews overviews) {
      this.order = order;
      this.metadata = metadata;
      this.overviews = overviews;
    }

    void append(Raster rows) {
      if (writer == null) {
        create(rows);
      }
      writer.append(rows);
    }

    private void create(Raster like) {
      try {
        path = Files.createTempFile(order.scratch(), "result-", ".tif");
        writer =
            TiffWriter.create(
                path,
                order.plan().resultWidth(order.first()),
                order.plan().resultHeight(order.first()),
                like.channels(),
                like.format(),
                metadata,
                overviews);
      } catch (IOException e) {
        throw new ImageException(
            "Cannot write a result to the folder " + order.scratch() + ": " + e, e);
      }
    }

    Artifact artifact() {
      writer.close();
      return Artifact.of(path, ResultFormat.TIFF_TYPE);
    }

    /** The file is not whole, so how closing it fails says nothing new. */
    void discard(Throwable because) {
      try {
        if (writer != null) {
          writer.close();
        }
      } catch (RuntimeException e) {
        because.addSuppressed(e);
      }
      if (path != null) {
        Composition.deleteQuietly(path);
      }
    }
  }

  /** The mask's file, and what is kept to find regions. */
  private static final class Segments {
    private final Composition.Order order;
    private final ClassMap map;
    private final RowFile mask;
    private final Optional<DecisionRows> kept;

    Segments(Composition.Order order, ClassMap map) {
      this.order = order;
      this.map = map;
      this.mask = new RowFile(order, order.besides(Composition.MASK), TiffWriter.Overviews.FIRST);
      int width = order.plan().resultWidth(order.first());
      int height = order.plan().resultHeight(order.first());
      this.kept =
          (long) width * height <= DecisionRows.MOST_PIXELS
              ? Optional.of(new DecisionRows(width, height, order.isEnsemble()))
              : Optional.empty();
    }

    void append(Raster stacked, Optional<NoDataMask> noData) {
      Decision decision = order.decision(stacked, map);
      mask.append(order.mask(decision, map, noData));
      kept.ifPresent(rows -> rows.append(decision, order.pixelsWithout(noData)));
    }

    Optional<Regions> regions() {
      return kept.map(rows -> rows.find(Composition.finder(map), order.scaledMetadata()));
    }
  }
}
