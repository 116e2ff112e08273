/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.fakes.FakeUpscaler;
import io.github.flinkdiffusion.ops.fakes.OpenedBy;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Tiling;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32;
import java.util.zip.DeflaterOutputStream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.CloseableIterator;

/**
 * Images of one color, whose files are small and whose pixels are not, among good ones, through a
 * Flink cluster in this process that may not restart. Ends with 0 when each request has the answer
 * that it should have.
 */
final class DecompressionProgram {
  private static final int GOOD = 20;
  private static final int LARGE = 2;

  private DecompressionProgram() {}

  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    Configuration settings = new Configuration();
    settings.set(
        PayloadOptions.STORE, Files.createDirectories(folder.resolve("store")).toUri().toString());
    settings.set(RestartStrategyOptions.RESTART_STRATEGY, "none");
    settings.set(DiffusionOptions.BATCH_ROWS, 16);
    settings.set(DiffusionOptions.DEFAULT_STEPS, 1);
    PayloadStore store = new PayloadStore(PayloadSettings.of(settings));
    byte[] bomb = png(4096, 4096);
    List<ImageTaskEvent> tasks = new ArrayList<>();
    for (int i = 0; i < GOOD; i++) {
      tasks.add(task("good-" + i, PngCodec.encode(new Raster(3, 48, 48, new float[3 * 48 * 48]))));
    }
    tasks.add(7, task("bomb", bomb));
    tasks.add(
        9,
        ImageTaskEvent.newBuilder()
            .setId("stored bomb")
            .setImage(store.store(bomb, "image/png"))
            .setSeed(0L)
            .build());
    // It fits once, not twice at the same time: the second waits for the first.
    for (int i = 0; i < LARGE; i++) {
      tasks.add(10, task("large-" + i, png(2048, 3600)));
    }
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, settings);
    env.setParallelism(1);
    DiffusionStreams results =
        Diffusion.imageTasks()
            .setPipeline(
                new OpenedBy(
                    "changing", () -> new FakeUpscaler(3, new Tiling(1, 1, 512), "digest")))
            .uid("change")
            .apply(env.fromData(tasks, new AvroTypeInfo<>(ImageTaskEvent.class)));
    List<String> images = new ArrayList<>();
    List<FailureEvent> failures = new ArrayList<>();
    try (CloseableIterator<FailureEvent> failed = results.failures().collectAsync();
        CloseableIterator<ImageEvent> done = results.images().executeAndCollect()) {
      done.forEachRemaining(image -> images.add(image.getId()));
      failed.forEachRemaining(failures::add);
    }
    require(images.size() == GOOD + LARGE, images + " are done");
    require(
        failures.stream()
            .map(FailureEvent::getId)
            .sorted()
            .toList()
            .equals(List.of("bomb", "stored bomb")),
        failures + " failed");
    for (FailureEvent failure : failures) {
      require(failure.getReason() == FailureReason.INVALID_REQUEST, failure.getReason().name());
      require(
          failure.getMessage().contains(ImageTaskOptions.MAX_DECODED_SIZE.key()),
          failure.getMessage());
    }
    System.out.println("A file of " + bomb.length + " bytes: " + failures.get(0).getMessage());
    System.exit(0);
  }

  private static ImageTaskEvent task(String id, byte[] png) {
    return ImageTaskEvent.newBuilder()
        .setId(id)
        .setImage(Payloads.inline(png, "image/png"))
        .setSeed(0L)
        .build();
  }

  /** One color, RGBA of 16 bits, written without ever holding its pixels. */
  private static byte[] png(int width, int height) throws IOException {
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    try (DeflaterOutputStream out = new DeflaterOutputStream(packed)) {
      byte[] row = new byte[1 + 8 * width];
      for (int y = 0; y < height; y++) {
        out.write(row);
      }
    }
    ByteArrayOutputStream file = new ByteArrayOutputStream();
    file.write(new byte[] {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'});
    byte[] header = {0, 0, 0, 0, 0, 0, 0, 0, 16, 6, 0, 0, 0};
    ByteBuffer.wrap(header).putInt(width).putInt(height);
    block(file, "IHDR", header);
    block(file, "IDAT", packed.toByteArray());
    block(file, "IEND", new byte[0]);
    return file.toByteArray();
  }

  private static void block(ByteArrayOutputStream file, String type, byte[] data)
      throws IOException {
    DataOutputStream out = new DataOutputStream(file);
    byte[] name = type.getBytes(StandardCharsets.US_ASCII);
    CRC32 crc = new CRC32();
    crc.update(name);
    crc.update(data);
    out.writeInt(data.length);
    out.write(name);
    out.write(data);
    out.writeInt((int) crc.getValue());
  }

  private static void require(boolean held, String what) {
    if (!held) {
      throw new IllegalStateException(what);
    }
  }
}
