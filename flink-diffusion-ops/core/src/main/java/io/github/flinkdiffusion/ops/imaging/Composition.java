/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.BandTexts;
import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import io.github.flinkdiffusion.ops.pipeline.ResultKind;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.IntFunction;
import java.util.function.UnaryOperator;
import org.apache.flink.annotation.Internal;

/**
 * The result of an image task: its pictures as files, and what was found in them.
 *
 * <p>A picture of the same kind as the source (enlarged, changed) is in the source's numbers, at
 * its place, and lacks data where the source does. Of a segmentation whose samples are binary the
 * picture is how likely the inside is, 16 bits over 0..1; of others it is painted in the classes'
 * colors. The mask is white inside, and of more than two classes its numbers are theirs. Depth and
 * normals are 16 bits over 0..1.
 *
 * <p>Where the source holds no data, the other files hold none either: a mask of more than two
 * classes has the number 255 there, an uncertainty in floats what is not a number, and all others a
 * mask (TIFF) or no opacity (PNG). No region has such pixels.
 *
 * <p>Results up to a size are put together in memory; larger ones row by row into files, which are
 * TIFF whatever was asked for. Those of several slices are {@link VolumeComposition}'s. Regions are
 * looked for up to {@link DecisionRows#MOST_PIXELS}, boxes in what is in memory.
 *
 * @param width of all of them, in pixels
 * @param height of all of them
 * @param picture the answer: the mean of the samples
 * @param mask of a segmentation
 * @param uncertainty of an ensemble: the samples' spread, see {@link Ensemble#spread}; 16 bits over
 *     0..1 in PNG files, floats in TIFF files
 * @param regions of a segmentation, or the boxes of a detection
 */
@Internal
public record Composition(
    int width,
    int height,
    Artifact picture,
    Optional<Artifact> mask,
    Optional<Artifact> uncertainty,
    Optional<Regions> regions) {

  /** The same with its files changed. */
  public Composition with(UnaryOperator<Artifact> change) {
    return new Composition(
        width, height, change.apply(picture), mask.map(change), uncertainty.map(change), regions);
  }

  /** Which picture a file holds besides the answer, as its text {@link Audit#RESULT} says. */
  public static final String MASK = "mask";

  /** As {@link #MASK}. */
  public static final String UNCERTAINTY = "uncertainty";

  /** Floats that are put together in memory. */
  private static final long MOST_FLOATS_IN_MEMORY = 16 << 20;

  /** The result's numbers, those of the picture as it is written, and its file. */
  private static final int BYTES_PER_FLOAT = 12;

  /** Of a larger result, some rows of which are in memory. */
  private static final long ROWS_BYTES = 32 << 20;

  /** Heap that composing a result of so many numbers takes at most, besides its tiles. */
  public static long heapBytes(long floats) {
    return floats <= MOST_FLOATS_IN_MEMORY ? floats * BYTES_PER_FLOAT : ROWS_BYTES;
  }

  /**
   * What a result is made like.
   *
   * @param plan the task's parts
   * @param scene what was worked on
   * @param bands how it was shown to the model
   * @param meaning what the samples are; those of a segmentation are {@link ClassMap#shares}
   * @param first a tile's result, for its size and number of channels
   * @param format the kind of files
   * @param texts words that go into the files, such as their audit record
   * @param scratch folder for files
   */
  public record Order(
      TaskPlan plan,
      Scene scene,
      ModelBands bands,
      ResultMeaning meaning,
      Raster first,
      ResultFormat format,
      Map<String, String> texts,
      Path scratch) {

    /** Channels of a sample, without the spread behind it. */
    int channels() {
      return first.channels() - (isEnsemble() ? 1 : 0);
    }

    boolean isEnsemble() {
      return plan.samples() > 1;
    }

    Optional<ClassMap> classes() {
      return meaning.classes();
    }

    /**
     * Whether the answer is a picture in red, green and blue of 8 bits that is put together in
     * memory: what may be marked, because its values are no measurements.
     */
    public boolean isPlainColor() {
      PixelFormat own = bands.resultFormat(scene.format(), channels());
      return meaning.equals(ResultMeaning.PICTURE)
          && channels() == 3
          && own.bands() == Bands.RGB
          && own.type() == SampleType.UINT8
          && format != ResultFormat.DICOM
          && format != ResultFormat.NIFTI
          && !scene.mayLackData()
          && !keepsOpacity()
          && fitsIntoMemory();
    }

    boolean fitsIntoMemory() {
      return (long) plan.resultWidth(first) * plan.resultHeight(first) * first.channels()
          <= MOST_FLOATS_IN_MEMORY;
    }

    /** What is measured, or painted in classes' colors, has no profile of colors. */
    ImageMetadata pictureMetadata() {
      ImageMetadata scaled = scaledMetadata();
      ImageMetadata metadata =
          Audit.without(scaled.replacingTexts(aboutNumbers(scaled.texts()))).withTexts(texts);
      return answerIsLikeTheSource() ? metadata : metadata.withoutProfile();
    }

    /** What the source says of its bands' numbers holds for the bands that the model saw. */
    private Map<String, String> aboutNumbers(Map<String, String> ofSource) {
      Map<String, String> kept = BandTexts.withoutStatistics(ofSource);
      if (!answerIsLikeTheSource() || bands.source().isEmpty()) {
        return BandTexts.withoutBands(kept);
      }
      return BandTexts.ofBands(kept, bands.gray() ? List.of(0) : bands.source());
    }

    boolean answerIsLikeTheSource() {
      return meaning.kind() == ResultKind.PICTURE || meaning.kind() == ResultKind.BOXES;
    }

    /** Where the result lies, and how large its pixels are; not what the source's texts say. */
    ImageMetadata scaledMetadata() {
      return scene
          .metadata()
          .scaled(
              (double) plan.resultWidth(first) / scene.width(),
              (double) plan.resultHeight(first) / scene.height());
    }

    /** Of a picture besides the answer: its place, the same record, and which picture it is. */
    ImageMetadata besides(String result) {
      ImageMetadata all = scaledMetadata();
      ImageMetadata own =
          new ImageMetadata(
                  all.georeference(), all.spacing(), new TreeMap<>(texts), List.of(), all.medical())
              .withTexts(Map.of(Audit.RESULT, result));
      // White inside needs no colors.
      return result.equals(MASK) && classes().filter(map -> map.classes() > 2).isPresent()
          ? own.withColorTable(classes().get().palette())
          : own;
    }

    /**
     * Where rows of the result hold no data, in the scene's bands.
     *
     * @param top the first of them; the model's scale divides it
     */
    Optional<NoDataMask> noData(int top, int rows) {
      if (!scene.mayLackData()) {
        return Optional.empty();
      }
      long height = plan.resultHeight(first);
      int begin = (int) ((2L * top + 1) * scene.height() / (2 * height));
      int last = (int) ((2L * (top + rows) - 1) * scene.height() / (2 * height));
      return scene
          .noData(new Window(0, begin, scene.width(), last - begin + 1))
          .flatMap(mask -> mask.resized(rows, plan.resultWidth(first)));
    }

    /** Pixels of those rows that hold no data. */
    BitSet pixelsWithout(Optional<NoDataMask> noData) {
      return noData.flatMap(bands::toModel).map(NoDataMask::pixels).orElseGet(BitSet::new);
    }

    private Raster masked(Raster raster, Optional<NoDataMask> noData) {
      return noData
          .flatMap(mask -> bands.toResult(mask, raster.channels()))
          .map(raster::masked)
          .orElse(raster);
    }

    /** Whether opacity of the scene says where it holds data, so that the answer has it, too. */
    private boolean keepsOpacity() {
      SampleType type = scene.format().type();
      return sourceIsTiff()
          && scene.format().bands().hasAlpha()
          && scene.format().noData().isEmpty()
          && (type == SampleType.UINT8 || type == SampleType.UINT16)
          && (format == ResultFormat.TIFF || format == ResultFormat.AUTO);
    }

    /** Rows of the answer, with the scene's opacity behind them: of each pixel the nearest one. */
    private Raster withOpacity(Raster rows, int top) {
      if (!keepsOpacity()) {
        return rows;
      }
      int plane = rows.height() * rows.width();
      float[] data = Arrays.copyOf(rows.data(), rows.data().length + plane);
      long height = plan.resultHeight(first);
      int readRow = -1;
      float[] opacity = null;
      for (int y = 0; y < rows.height(); y++) {
        int row = (int) ((2L * (top + y) + 1) * scene.height() / (2 * height));
        if (row != readRow) {
          // A row at a time: the file's blocks are kept, and a scene may be wide.
          float[] read = scene.read(new Window(0, row, scene.width(), 1)).data();
          opacity = Arrays.copyOfRange(read, read.length - scene.width(), read.length);
          readRow = row;
        }
        int to = rows.data().length + y * rows.width();
        for (int x = 0; x < rows.width(); x++) {
          data[to + x] = opacity[(int) ((2L * x + 1) * scene.width() / (2L * rows.width()))];
        }
      }
      return new Raster(
          rows.channels() + 1,
          rows.height(),
          rows.width(),
          data,
          rows.format().withBands(rows.format().bands().withAlpha()),
          rows.metadata());
    }

    /**
     * The answer's picture of some rows, as it is written.
     *
     * @param top the first of them
     */
    Raster picture(Raster stacked, int top, Optional<NoDataMask> noData) {
      Raster mean = Assembly.channels(stacked, 0, channels());
      return switch (meaning.kind()) {
        case PICTURE, BOXES -> {
          Raster own = bands.toSource(mean);
          Raster result = own.withFormat(bands.resultFormat(scene.format(), own.channels()));
          yield masked(withOpacity(result, top), noData);
        }
        case TEXT -> throw new IllegalArgumentException("A text is no image.");
        case MASK, DEPTH, NORMALS -> withoutPixels(AnswerRasters.picture(mean, meaning), noData);
      };
    }

    /** What is no picture like the source lacks data where the model saw none in any band. */
    private Raster withoutPixels(Raster raster, Optional<NoDataMask> noData) {
      return AnswerRasters.withoutPixels(raster, noData.flatMap(bands::toModel));
    }

    Decision decision(Raster stacked, ClassMap map) {
      return Decision.of(map, Assembly.channels(stacked, 0, channels()));
    }

    /** Label volumes hold classes' numbers, however few there are. */
    Raster writtenMask(Decision decision, ClassMap map, Optional<NoDataMask> noData) {
      return format == ResultFormat.NIFTI
          ? withoutPixels(decision.classes().toRaster(), noData)
          : mask(decision, map, noData);
    }

    Raster mask(Decision decision, ClassMap map, Optional<NoDataMask> noData) {
      return withoutPixels(AnswerRasters.maskOf(decision, map, scene.mayLackData()), noData);
    }

    Raster uncertainty(Raster stacked, boolean floats, Optional<NoDataMask> noData) {
      Raster spread = Assembly.channels(stacked, channels(), 1);
      PixelFormat measured = PixelFormat.of(Bands.GRAY, SampleType.FLOAT32);
      return withoutPixels(
          floats
              ? spread.withFormat(scene.mayLackData() ? measured.withNoData(Double.NaN) : measured)
              : AnswerRasters.uncertainty(spread),
          noData);
    }

    /** Whether the answer's picture says how likely each pixel is in the one class. */
    boolean isShares() {
      return classes().filter(map -> map.encoding() == ClassMap.Encoding.BINARY).isPresent();
    }

    boolean sourceIsTiff() {
      return scene.mediaType().equals(ResultFormat.TIFF_TYPE);
    }
  }

  /**
   * Puts tiles' results together and encodes them. Takes CPU time and, for large results, files.
   *
   * @param tiles a tile's result by its number; asked for once each, in order
   * @throws ImageException when a result cannot be written, e.g. because it holds values that are
   *     not finite
   */
  public static Composition compose(Order order, IntFunction<Raster> tiles) {
    return compose(order, tiles, UnaryOperator.identity());
  }

  /**
   * As {@link #compose(Order, IntFunction)}.
   *
   * @param finish what is done to the picture of an order that {@link Order#isPlainColor}, such as
   *     a mark
   */
  public static Composition compose(
      Order order, IntFunction<Raster> tiles, UnaryOperator<Raster> finish) {
    if (order.fitsIntoMemory()) {
      return CompositionInMemory.compose(
          order, tiles, order.isPlainColor() ? finish : UnaryOperator.identity());
    }
    if (order.format() == ResultFormat.DICOM || order.format() == ResultFormat.NIFTI) {
      throw tooLarge(order);
    }
    return CompositionInFiles.compose(order, tiles);
  }

  static ImageException tooLarge(Order order) {
    return new ImageException(
        "A %s result of %d x %d pixels in %d channels; at most %d numbers are supported, more as TIFF"
            .formatted(
                order.format(),
                order.plan().resultWidth(order.first()),
                order.plan().resultHeight(order.first()),
                order.first().channels(),
                MOST_FLOATS_IN_MEMORY));
  }

  static RegionFinder finder(ClassMap map) {
    return new RegionFinder(map, RegionFinder.Limits.DEFAULT.withLeastPixels(map.leastPixels()));
  }

  /** Deletes a file of an {@link Artifact}; one that stays costs space alone. */
  public static void deleteQuietly(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      file.toFile().deleteOnExit();
    }
  }
}
