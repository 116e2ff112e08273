/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.fakes.FakeUpscaler;
import io.github.flinkdiffusion.ops.fakes.OpenedBy;
import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.Georeference;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.image.TiffReader;
import io.github.flinkdiffusion.ops.image.TiffWriter;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.pipeline.Tiling;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.CloseableIterator;

/**
 * A GeoTIFF of 16 bits through a Flink cluster in this process, done by a stand-in for a model and
 * read by ranges. Started with the heap that a task manager has; ends with 0 when the result is
 * what it should be, and says how much of the heap was in use at most, and how long it took.
 *
 * <p>Arguments: a folder, the side of the image in pixels, its bands, the model's scale.
 */
final class LargeImageProgram {
  private static final int TILE = 256;
  private static final int STEPS = 1;

  private final int side;
  private final int bands;
  private final int scale;
  private final PixelFormat format;

  private LargeImageProgram(int side, int bands, int scale) {
    this.side = side;
    this.bands = bands;
    this.scale = scale;
    this.format = PixelFormat.of(bands == 1 ? Bands.GRAY : Bands.MEASUREMENTS, SampleType.UINT16);
  }

  public static void main(String[] arguments) throws Exception {
    new LargeImageProgram(
            Integer.parseInt(arguments[1]),
            Integer.parseInt(arguments[2]),
            Integer.parseInt(arguments[3]))
        .run(Path.of(arguments[0]));
    System.exit(0);
  }

  private void run(Path folder) throws Exception {
    Configuration settings = new Configuration();
    settings.set(
        PayloadOptions.STORE, Files.createDirectories(folder.resolve("store")).toUri().toString());
    settings.set(PayloadOptions.READ_BY_RANGES, true);
    settings.set(PayloadOptions.INLINE_LIMIT, MemorySize.ZERO);
    settings.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(5));
    // The input is over at once, and then no checkpoint begins before the image is done.
    settings.set(CheckpointingOptions.CHECKPOINTING_TIMEOUT, Duration.ofHours(3));
    settings.set(
        CheckpointingOptions.CHECKPOINTS_DIRECTORY,
        folder.resolve("checkpoints").toUri().toString());
    settings.set(RestartStrategyOptions.RESTART_STRATEGY, "none");
    settings.set(DiffusionOptions.BATCH_ROWS, bands == 1 ? 16 : 8);
    if (bands > 1) {
      settings.set(ImageTaskOptions.PARTS_IN_FLIGHT, 16);
    }
    settings.set(DiffusionOptions.DEFAULT_STEPS, STEPS);
    Path scene = writeScene(folder.resolve("scene.tif"));
    ImageTaskEvent task =
        ImageTaskEvent.newBuilder()
            .setId("scene")
            .setImage(new PayloadStore(PayloadSettings.of(settings)).write(scene, "image/tiff"))
            .setSeed(0L)
            .build();
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, settings);
    DataStream<ImageTaskEvent> tasks =
        env.fromData(List.of(task), new AvroTypeInfo<>(ImageTaskEvent.class));
    int modelBands = bands;
    int modelScale = scale;
    long begin = System.nanoTime();
    DiffusionStreams results =
        Diffusion.imageTasks()
            .setPipeline(
                new OpenedBy(
                    "enlarging",
                    () -> new FakeUpscaler(modelBands, new Tiling(modelScale, 1, TILE), "digest")))
            .uid("enlarge")
            .apply(tasks);
    try (CloseableIterator<FailureEvent> failures = results.failures().collectAsync();
        CloseableIterator<ImageEvent> images = results.images().executeAndCollect()) {
      if (!images.hasNext()) {
        throw new IllegalStateException("No result, but " + failures.next().getMessage());
      }
      check(images.next());
    }
    long seconds = Duration.ofNanos(System.nanoTime() - begin).toSeconds();
    long peak = 0;
    for (MemoryPoolMXBean pool : ManagementFactory.getMemoryPoolMXBeans()) {
      peak += pool.getType() == MemoryType.HEAP ? pool.getPeakUsage().getUsed() : 0;
    }
    System.out.printf(
        "%d x %d x %d became %d x %d; at most %d of %d MiB of heap; %d s%n",
        side,
        side,
        bands,
        scale * side,
        scale * side,
        peak >> 20,
        Runtime.getRuntime().maxMemory() >> 20,
        seconds);
  }

  /** The number at a pixel; tiles or bands that were exchanged or moved would show. */
  private int number(int band, int x, int y) {
    // Of several bands with a texture, since files of plain squares are small.
    int texture = bands > 1 ? (x * 37 ^ y * 101) & 63 : 0;
    return ((x >> 4) * 31 + (y >> 4) * 173 + band * 7919) % 60_000 + texture;
  }

  private Path writeScene(Path file) {
    ImageMetadata place =
        ImageMetadata.NONE.withGeoreference(Georeference.northUp(32633, 500_000, 5_000_000, 10));
    int most = Math.max(16, TILE / bands);
    try (TiffWriter writer = TiffWriter.create(file, side, side, bands, format, place)) {
      for (int top = 0; top < side; top += most) {
        int rows = Math.min(most, side - top);
        float[] data = new float[bands * rows * side];
        for (int i = 0; i < data.length; i++) {
          data[i] = number(i / (rows * side), i % side, top + i / side % rows) / 65_535f;
        }
        writer.append(new Raster(bands, rows, side, data));
      }
    }
    return file;
  }

  private void check(ImageEvent image) {
    Path file = Path.of(URI.create(image.getImageReference().getUri()));
    int larger = scale * side;
    try (TiffReader reader = TiffReader.open(file, ReadOptions.DEFAULT)) {
      require(reader.width() == larger && reader.height() == larger, "its size");
      require(reader.format().equals(format), "its numbers");
      Georeference where = reader.metadata().georeference().orElseThrow();
      require(where.pixelScale().get(0) == 10.0 / scale, "the size of its pixels");
      for (int top = 0; top < larger; top += 512) {
        for (int left = 0; left < larger; left += 4096) {
          check(reader, left, top, Math.min(4096, larger - left));
        }
      }
    }
  }

  private void check(TiffReader reader, int left, int top, int width) {
    Raster rows = reader.read(new Window(left, top, width, 1));
    int more = Math.round(65_535 * STEPS * FakeUpscaler.STEP);
    for (int i = 0; i < bands * width; i++) {
      int x = left + i % width;
      int number = Math.round(rows.data()[i] * 65_535);
      int expected = number(i / width, x / scale, top / scale) + more;
      // Tiles that are blended round on their own.
      require(
          Math.abs(number - expected) <= 1,
          "%d at (%d, %d), where %d belongs".formatted(number, x, top, expected));
    }
  }

  private static void require(boolean held, String what) {
    if (!held) {
      throw new IllegalStateException("The result is wrong: " + what);
    }
  }
}
