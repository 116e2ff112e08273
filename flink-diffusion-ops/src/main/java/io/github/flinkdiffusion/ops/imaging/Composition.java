package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.image.TiffWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.IntFunction;

/**
 * The result of an image task: its pictures as files.
 *
 * <p>For a picture of the same kind as the source (enlarged, changed) the result is in the source's
 * numbers, at its place. For a segmentation the picture is how likely the class is, 0..1, and the
 * mask is white where that is one half or more.
 *
 * <p>Results up to a size are put together in memory; larger ones row by row into files, which are
 * TIFF whatever was asked for.
 *
 * @param width of all of them, in pixels
 * @param picture the answer: the mean of the samples
 * @param mask of a segmentation
 * @param uncertainty of an ensemble: the samples' spread, see {@link Ensemble#spread}; 16 bits over
 *     0..1 in PNG files, floats in TIFF files
 */
public record Composition(
    int width,
    int height,
    Artifact picture,
    Optional<Artifact> mask,
    Optional<Artifact> uncertainty) {

  /** Which picture a file holds besides the answer, as its text {@link Audit#RESULT} says. */
  public static final String MASK = "mask";

  /** As {@link #MASK}. */
  public static final String UNCERTAINTY = "uncertainty";

  /** Floats that are put together in memory. */
  private static final long MOST_FLOATS_IN_MEMORY = 16 << 20;

  /**
   * What a result is made like.
   *
   * @param plan the task's parts
   * @param scene what was worked on
   * @param bands how it was shown to the model
   * @param segmentation whether the samples are masks
   * @param channels of a sample
   * @param format the kind of files
   * @param texts words that go into the files, such as their audit record
   * @param scratch folder for files
   */
  public record Order(
      TaskPlan plan,
      Scene scene,
      ModelBands bands,
      boolean segmentation,
      int channels,
      ResultFormat format,
      Map<String, String> texts,
      Path scratch) {

    /** Channels of a tile's result: the samples' and, for an ensemble, the spread. */
    public int stackedChannels() {
      return channels + (plan.samples() > 1 ? 1 : 0);
    }

    private boolean fitsIntoMemory() {
      return (long) plan.resultWidth() * plan.resultHeight() * stackedChannels()
          <= MOST_FLOATS_IN_MEMORY;
    }

    private ImageMetadata pictureMetadata() {
      return scaledMetadata().withTexts(texts);
    }

    /** Where the result lies, and how large its pixels are; not what the source's texts say. */
    private ImageMetadata scaledMetadata() {
      return scene.metadata().scaled(plan.tiles().scale(), plan.tiles().scale());
    }

    /** Of a picture besides the answer: its place, the same record, and which picture it is. */
    private ImageMetadata besides(String result) {
      ImageMetadata all = scaledMetadata();
      return new ImageMetadata(all.georeference(), all.spacing(), new TreeMap<>(texts), List.of())
          .withTexts(Map.of(Audit.RESULT, result));
    }

    private PixelFormat pictureFormat() {
      return segmentation
          ? PixelFormat.of(channels == 1 ? Bands.GRAY : Bands.MEASUREMENTS, SampleType.UINT16)
          : bands.resultFormat(scene.format(), bands.resultChannels(channels));
    }

    private Raster picture(Raster stacked) {
      Raster mean = Assembly.channels(stacked, 0, channels);
      Raster own = segmentation ? mean : bands.toSource(mean);
      return own.withFormat(pictureFormat());
    }

    private boolean sourceIsTiff() {
      return scene.mediaType().equals(ResultFormat.TIFF_TYPE);
    }
  }

  /**
   * Puts tiles' results together and encodes them. Takes CPU time and, for large results, files.
   *
   * @param tiles a tile's result by its number, of {@link Order#stackedChannels} channels; asked
   *     for once each, in order
   * @throws ImageException when a result can not be written, e.g. because it holds values that are
   *     not finite
   */
  public static Composition compose(Order order, IntFunction<Raster> tiles) {
    return order.fitsIntoMemory() ? inMemory(order, tiles) : inFiles(order, tiles);
  }

  private static Composition inMemory(Order order, IntFunction<Raster> tiles) {
    Raster stacked = Assembly.whole(order.plan(), order.stackedChannels(), tiles);
    Raster picture = order.picture(stacked).withMetadata(order.pictureMetadata());
    String mediaType = order.format().mediaTypeOf(picture, order.sourceIsTiff());
    Optional<Artifact> mask =
        order.segmentation()
            ? Optional.of(
                encode(mask(Assembly.channels(stacked, 0, 1)), order.besides(MASK), mediaType))
            : Optional.empty();
    Optional<Artifact> uncertainty =
        order.plan().samples() > 1
            ? Optional.of(
                encode(
                    uncertainty(stacked, mediaType.equals(ResultFormat.TIFF_TYPE)),
                    order.besides(UNCERTAINTY),
                    mediaType))
            : Optional.empty();
    return new Composition(
        picture.width(),
        picture.height(),
        encode(picture, picture.metadata(), mediaType),
        mask,
        uncertainty);
  }

  private static Artifact encode(Raster raster, ImageMetadata metadata, String mediaType) {
    return Artifact.of(Images.write(raster.withMetadata(metadata), mediaType), mediaType);
  }

  private static Raster mask(Raster likely) {
    float[] inside = new float[likely.data().length];
    for (int i = 0; i < inside.length; i++) {
      inside[i] = likely.data()[i] >= 0.5f ? 1 : 0;
    }
    return new Raster(1, likely.height(), likely.width(), inside);
  }

  private static Raster uncertainty(Raster stacked, boolean floats) {
    return Assembly.channels(stacked, stacked.channels() - 1, 1)
        .withFormat(PixelFormat.of(Bands.GRAY, floats ? SampleType.FLOAT32 : SampleType.UINT16));
  }

  /** A TIFF file that is written from the top. */
  private record RowFile(Path path, TiffWriter writer) {
    static RowFile create(Order order, int channels, PixelFormat format, ImageMetadata metadata) {
      try {
        Path path = Files.createTempFile(order.scratch(), "result-", ".tif");
        return new RowFile(
            path,
            TiffWriter.create(
                path,
                order.plan().resultWidth(),
                order.plan().resultHeight(),
                channels,
                format,
                metadata));
      } catch (IOException e) {
        throw new ImageException(
            "Can not write a result to the folder " + order.scratch() + ": " + e, e);
      }
    }

    Artifact artifact() {
      writer.close();
      return Artifact.of(path, ResultFormat.TIFF_TYPE);
    }

    void discard() {
      try {
        writer.close();
      } catch (RuntimeException e) {
        // The file is not whole, which is why it is discarded.
      } finally {
        deleteQuietly(path);
      }
    }
  }

  /** Deletes a file of an {@link Artifact}; one that stays costs space alone. */
  public static void deleteQuietly(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      file.toFile().deleteOnExit();
    }
  }

  private static Composition inFiles(Order order, IntFunction<Raster> tiles) {
    PixelFormat format = order.pictureFormat();
    int channels =
        order.segmentation() ? order.channels() : order.bands().resultChannels(order.channels());
    PixelFormat gray8 = PixelFormat.of(Bands.GRAY, SampleType.UINT8);
    PixelFormat floats = PixelFormat.of(Bands.GRAY, SampleType.FLOAT32);
    Optional<RowFile> mask = Optional.empty();
    Optional<RowFile> uncertainty = Optional.empty();
    RowFile picture = RowFile.create(order, channels, format, order.pictureMetadata());
    try {
      if (order.segmentation()) {
        mask = Optional.of(RowFile.create(order, 1, gray8, order.besides(MASK)));
      }
      if (order.plan().samples() > 1) {
        uncertainty = Optional.of(RowFile.create(order, 1, floats, order.besides(UNCERTAINTY)));
      }
      Optional<RowFile> maskFile = mask;
      Optional<RowFile> uncertaintyFile = uncertainty;
      Assembly.assemble(
          order.plan(),
          order.stackedChannels(),
          tiles,
          rows -> {
            picture.writer().append(order.picture(rows));
            maskFile.ifPresent(file -> file.writer().append(mask(rows)));
            uncertaintyFile.ifPresent(file -> file.writer().append(uncertainty(rows, true)));
          });
      return new Composition(
          order.plan().resultWidth(),
          order.plan().resultHeight(),
          picture.artifact(),
          mask.map(RowFile::artifact),
          uncertainty.map(RowFile::artifact));
    } catch (RuntimeException | Error e) {
      picture.discard();
      mask.ifPresent(RowFile::discard);
      uncertainty.ifPresent(RowFile::discard);
      throw e;
    }
  }
}
