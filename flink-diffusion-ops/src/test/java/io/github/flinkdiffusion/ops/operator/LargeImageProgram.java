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
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.CloseableIterator;

/**
 * A GeoTIFF of 8,192 x 8,192 pixels of 16 bits through a Flink cluster in this process, made twice
 * as large by a stand-in for a model. Started with the heap that a task manager has; ends with 0
 * when the result is what it should be, and says how much of the heap was in use at most.
 */
final class LargeImageProgram {
  static final int SIDE = 8192;
  private static final int SCALE = 2;
  private static final int TILE = 256;
  private static final int STEPS = 1;
  private static final PixelFormat FORMAT = PixelFormat.of(Bands.GRAY, SampleType.UINT16);

  private LargeImageProgram() {}

  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    Configuration settings = new Configuration();
    settings.set(
        PayloadOptions.STORE, Files.createDirectories(folder.resolve("store")).toUri().toString());
    settings.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(5));
    settings.set(
        CheckpointingOptions.CHECKPOINTS_DIRECTORY,
        folder.resolve("checkpoints").toUri().toString());
    settings.set(RestartStrategyOptions.RESTART_STRATEGY, "none");
    settings.set(DiffusionOptions.BATCH_ROWS, 16);
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
    DiffusionStreams results =
        Diffusion.imageTasks()
            .pipeline(
                new OpenedBy(
                    "enlarging", () -> new FakeUpscaler(1, new Tiling(SCALE, 1, TILE), "digest")))
            .uid("enlarge")
            .apply(tasks);
    try (CloseableIterator<FailureEvent> failures = results.failures().collectAsync();
        CloseableIterator<ImageEvent> images = results.images().executeAndCollect()) {
      if (!images.hasNext()) {
        throw new IllegalStateException("No result, but " + failures.next().getMessage());
      }
      check(images.next());
    }
    long peak = 0;
    for (MemoryPoolMXBean pool : ManagementFactory.getMemoryPoolMXBeans()) {
      peak += pool.getType() == MemoryType.HEAP ? pool.getPeakUsage().getUsed() : 0;
    }
    System.out.printf(
        "%d x %d became %d x %d; at most %d of %d MiB of heap%n",
        SIDE, SIDE, SCALE * SIDE, SCALE * SIDE, peak >> 20, Runtime.getRuntime().maxMemory() >> 20);
    System.exit(0);
  }

  /** The number at a pixel; tiles that were exchanged or moved would show. */
  private static int number(int x, int y) {
    return ((x >> 4) * 31 + (y >> 4) * 173) % 60_000;
  }

  private static Path writeScene(Path file) {
    ImageMetadata place =
        ImageMetadata.NONE.withGeoreference(Georeference.northUp(32633, 500_000, 5_000_000, 10));
    try (TiffWriter writer = TiffWriter.create(file, SIDE, SIDE, 1, FORMAT, place)) {
      for (int top = 0; top < SIDE; top += TILE) {
        float[] rows = new float[TILE * SIDE];
        for (int i = 0; i < rows.length; i++) {
          rows[i] = number(i % SIDE, top + i / SIDE) / 65_535f;
        }
        writer.append(new Raster(1, TILE, SIDE, rows));
      }
    }
    return file;
  }

  private static void check(ImageEvent image) {
    Path file = Path.of(URI.create(image.getImageReference().getUri()));
    int side = SCALE * SIDE;
    int more = Math.round(65_535 * STEPS * FakeUpscaler.STEP);
    try (TiffReader reader = TiffReader.open(file, ReadOptions.DEFAULT)) {
      require(reader.width() == side && reader.height() == side, "its size");
      require(reader.format().equals(FORMAT), "its numbers");
      Georeference where = reader.metadata().georeference().orElseThrow();
      require(where.pixelScale().get(0) == 10.0 / SCALE, "the size of its pixels");
      for (int top = 0; top < side; top += 512) {
        Raster rows = reader.read(new Window(0, top, side, 1));
        for (int x = 0; x < side; x++) {
          int number = Math.round(rows.data()[x] * 65_535);
          int expected = number(x / SCALE, top / SCALE) + more;
          // Tiles that are blended round on their own.
          require(
              Math.abs(number - expected) <= 1,
              "%d at (%d, %d), where %d belongs".formatted(number, x, top, expected));
        }
      }
    }
  }

  private static void require(boolean held, String what) {
    if (!held) {
      throw new IllegalStateException("The result is wrong: " + what);
    }
  }
}
