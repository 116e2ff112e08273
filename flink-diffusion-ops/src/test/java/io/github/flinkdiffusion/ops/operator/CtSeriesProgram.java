/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.fakes.FakeUpscaler;
import io.github.flinkdiffusion.ops.fakes.OpenedBy;
import io.github.flinkdiffusion.ops.image.CtSlices;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.imaging.ResultFormat;
import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
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
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.CloseableIterator;

/**
 * A CT series of 500 slices of 512 x 512 pixels of 16 bits through a Flink cluster in this process,
 * segmented by a stand-in for a model: as frames of one file, or as files that come in any order
 * and are gathered. Started with the heap that a task manager has; ends with 0 when the one DICOM
 * segmentation holds each slice's mask, and says how much of the heap was in use at most.
 */
final class CtSeriesProgram {
  private static final int SLICES = 500;
  private static final int SIDE = 512;
  private static final String SERIES = "1.2.3.2";

  private CtSeriesProgram() {}

  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    Configuration settings = new Configuration();
    settings.set(
        PayloadOptions.STORE, Files.createDirectories(folder.resolve("store")).toUri().toString());
    settings.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(2));
    settings.set(
        CheckpointingOptions.CHECKPOINTS_DIRECTORY,
        folder.resolve("checkpoints").toUri().toString());
    settings.set(RestartStrategyOptions.RESTART_STRATEGY, "none");
    settings.set(DiffusionOptions.BATCH_ROWS, 8);
    settings.set(DiffusionOptions.DEFAULT_STEPS, 1);
    settings.set(ImageTaskOptions.PARTS_IN_FLIGHT, 8);
    settings.set(ImageTaskOptions.VALUE_RANGE, "-1024..476");
    settings.set(ImageTaskOptions.FORMAT, ResultFormat.DICOM);
    PayloadStore store = new PayloadStore(PayloadSettings.of(settings));
    boolean gathered = arguments[1].equals("files");
    List<ImageTaskEvent> requests = gathered ? files(store) : frames(store, folder);
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, settings);
    DataStream<ImageTaskEvent> tasks =
        env.fromData(requests, new AvroTypeInfo<>(ImageTaskEvent.class));
    DataStream<FailureEvent> notGathered = null;
    if (gathered) {
      SeriesStreams series = Diffusion.series().uid("gather").apply(tasks);
      tasks = series.volumes();
      notGathered = series.failures();
    }
    DiffusionStreams results =
        Diffusion.imageTasks()
            .setPipeline(new OpenedBy("segmenting", CtSeriesProgram::model))
            .uid("segment")
            .apply(tasks);
    DataStream<FailureEvent> failed =
        notGathered == null ? results.failures() : results.failures().union(notGathered);
    try (CloseableIterator<FailureEvent> failures = failed.collectAsync();
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
        "%d slices of %d x %d are one segmentation; at most %d of %d MiB of heap%n",
        SLICES, SIDE, SIDE, peak >> 20, Runtime.getRuntime().maxMemory() >> 20);
    System.exit(0);
  }

  private static FakeUpscaler model() {
    return new FakeUpscaler(
        1,
        new Tiling(1, 1, SIDE),
        "digest",
        ResultMeaning.classes(ClassMap.binary("around", "Liver (10200004, SCT)")));
  }

  private static List<ImageTaskEvent> frames(PayloadStore store, Path folder) {
    Path file = folder.resolve("frames.dcm");
    CtSlices.writeFrames(file, SLICES, SIDE);
    return List.of(
        ImageTaskEvent.newBuilder()
            .setId(SERIES)
            .setImage(store.write(file, "application/dicom"))
            .setSeed(0L)
            .setParameters(Map.of("page", "all"))
            .build());
  }

  private static List<ImageTaskEvent> files(PayloadStore store) {
    List<ImageTaskEvent> files = new ArrayList<>();
    for (int i = 0; i < SLICES; i++) {
      byte[] slice = CtSlices.file(CtSlices.Slice.of(SERIES, i).ofSide(SIDE));
      files.add(
          ImageTaskEvent.newBuilder()
              .setId("slice-" + i)
              .setImage(store.store(slice, "application/dicom"))
              .setSeed(0L)
              .setParameters(Map.of("slices", Integer.toString(SLICES)))
              .build());
    }
    Collections.shuffle(files, new Random(1));
    return files;
  }

  private static void check(ImageEvent image) {
    require(image.getId().equals(SERIES), "its id");
    Path file = Path.of(URI.create(Payloads.reference(image.getMask()).orElseThrow().getUri()));
    for (int slice = 0; slice < SLICES; slice++) {
      Raster mask = Images.read(file, ReadOptions.DEFAULT.withPage(slice));
      require(mask.width() == SIDE && mask.height() == SIDE, "its size");
      for (int i = 0; i < SIDE * SIDE; i++) {
        int inside = CtSlices.value(slice, i % SIDE, i / SIDE, SIDE) > 0 ? 1 : 0;
        if (mask.data()[i] != inside) {
          throw new IllegalStateException("Slice %d is wrong at pixel %d".formatted(slice, i));
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
