/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ComponentColorModel;
import java.awt.image.DataBuffer;
import java.awt.image.WritableRaster;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import javax.imageio.ImageIO;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** The job for images on a real broker with a real model. */
class ImageTaskJobITCase {
  private static final Path MODEL = Path.of("../models/mini-satellite-x4");
  private static final Duration PATIENCE = Duration.ofSeconds(150);
  private static final int PARALLELISM = 2;
  private static final int TASKS = 36;

  /** Results of the smaller images are below it, of the larger ones above. */
  private static final MemorySize INLINE_LIMIT = MemorySize.parse("8 kb");

  @RegisterExtension private static final JobOnKafka JOB = new JobOnKafka();

  @TempDir private Path folder;

  private Configuration settings(String name) throws IOException {
    return new Configuration()
        .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(300))
        .set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem")
        .set(
            CheckpointingOptions.CHECKPOINTS_DIRECTORY,
            folder.resolve("checkpoints").toUri().toString())
        .set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay")
        .set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 1)
        .set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ofMillis(100))
        .set(PipelineOptions.GENERIC_TYPES, false)
        .set(KafkaOptions.BOOTSTRAP_SERVERS, JOB.kafka().bootstrapServers())
        .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, name)
        .set(PayloadOptions.STORE, store(name).toUri().toString())
        .set(PayloadOptions.INLINE_LIMIT, INLINE_LIMIT)
        .set(DiffusionOptions.MODEL_FOLDER, MODEL.toAbsolutePath().toString())
        .set(DiffusionOptions.DEFAULT_STEPS, 2)
        .set(DiffusionOptions.BATCH_ROWS, 8)
        .set(DiffusionOptions.DEVICE, "cpu");
  }

  private Path store(String name) throws IOException {
    return Files.createDirectories(folder.resolve(name));
  }

  private void start(Topics topics, UnaryOperator<DataStream<ImageEvent>> beforeSink)
      throws Exception {
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.createLocalEnvironment(PARALLELISM, settings(topics.images()));
    ImageTaskJob.create().beforeSink(beforeSink).define(env, topics);
    JOB.runs(env.executeAsync("test"));
  }

  private static Topics create(String prefix) {
    Topics topics = Topics.ofImageTasks(prefix);
    JOB.kafka().createTopics(PARALLELISM, topics.all().toArray(String[]::new));
    return topics;
  }

  private static void send(Topics topics, List<ImageTaskEvent> tasks) {
    JOB.kafka()
        .send(
            tasks.stream()
                .map(
                    task ->
                        new ProducerRecord<byte[], byte[]>(
                            topics.requests(), EventCodec.imageTasks().encode(task)))
                .toList());
  }

  private static Raster scene(int seed, int side) {
    float[] values = new float[3 * side * side];
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.round(127 + 120 * Math.sin(seed + i * 0.37 + i / side * 0.11)) / 255f;
    }
    return new Raster(3, side, side, values);
  }

  /** Images in their events and beside them, whose results fit into an event or do not. */
  private List<ImageTaskEvent> tasks(PayloadStore store, int from, int to) {
    return IntStream.range(from, to)
        .mapToObj(
            i -> {
              byte[] image =
                  Images.write(
                      scene(i, i % 3 == 0 ? 24 : 8), i % 2 == 0 ? "image/png" : "image/tiff");
              return ImageTaskEvent.newBuilder()
                  .setId("t" + i)
                  .setImage(
                      i % 4 == 1 ? store.store(image, "") : Payloads.inline(image, "image/png"))
                  .setEnsembleSize(i % 5 == 0 ? 2 : 1)
                  .build();
            })
        .toList();
  }

  private static List<ImageEvent> images(Topics topics) throws Exception {
    List<ImageEvent> images = new ArrayList<>();
    for (var record : JOB.kafka().readCommitted(topics.images())) {
      images.add(EventCodec.images().decode(record.value()));
    }
    return images;
  }

  @Test
  void afterAFailureEveryResultIsThereOnceAndEveryReferenceLeadsToIt() throws Exception {
    Topics smooth = create("smooth-");
    PayloadStore smoothStore = new PayloadStore(PayloadSettings.of(settings(smooth.images())));
    send(smooth, tasks(smoothStore, 0, TASKS));
    start(smooth, UnaryOperator.identity());
    JOB.kafka().readCommitted(smooth.images(), TASKS, PATIENCE);
    JOB.end();

    Topics broken = create("broken-");
    PayloadStore store = new PayloadStore(PayloadSettings.of(settings(broken.images())));
    send(broken, tasks(store, 0, TASKS / 2));
    FailsOnce.reset();
    start(broken, results -> results.map(new FailsOnce()).uid("fails"));
    assertThat(FailsOnce.checkpointCompleted.await(PATIENCE.toSeconds(), TimeUnit.SECONDS))
        .as("a checkpoint with results behind it completed")
        .isTrue();
    send(broken, tasks(store, TASKS / 2, TASKS));
    JOB.kafka().readCommitted(broken.images(), TASKS, PATIENCE);
    JOB.end();

    assertThat(FailsOnce.failed).isTrue();
    assertThat(JOB.kafka().readCommitted(broken.failures())).isEmpty();
    List<ImageEvent> results = images(broken);
    assertThat(results)
        .extracting(ImageEvent::getId)
        .containsExactlyInAnyOrderElementsOf(
            IntStream.range(0, TASKS).mapToObj(i -> "t" + i).toList());
    Map<String, ImageEvent> expected =
        images(smooth).stream().collect(Collectors.toMap(ImageEvent::getId, Function.identity()));
    Set<Boolean> stored = new HashSet<>();
    for (ImageEvent result : results) {
      Payload picture = Payloads.image(result);
      stored.add(Payloads.reference(picture).isPresent());
      byte[] file = store.read(picture); // verifies length and digest
      assertThat(Payloads.sha256(file)).isEqualTo(result.getDigest());
      assertAlike(file, smoothStore.read(Payloads.image(expected.get(result.getId()))));
      assertThat(result.getUncertainty() != null)
          .isEqualTo(Integer.parseInt(result.getId().substring(1)) % 5 == 0);
      if (result.getUncertainty() != null) {
        assertThat(Images.read(store.read(result.getUncertainty()), ReadOptions.DEFAULT).width())
            .isEqualTo(result.getWidth());
      }
    }
    assertThat(stored).as("results in events and beside them").containsExactly(false, true);
  }

  /** But for rounding in batches of another size, one of the 256 levels. */
  private static void assertAlike(byte[] file, byte[] expectedFile) {
    float[] values = Images.read(file, ReadOptions.DEFAULT).data();
    float[] expected = Images.read(expectedFile, ReadOptions.DEFAULT).data();
    assertThat(values).hasSameSizeAs(expected);
    for (int i = 0; i < values.length; i++) {
      assertThat(values[i]).as("value %d", i).isCloseTo(expected[i], within(1.01f / 255));
    }
  }

  @Test
  void badImagesBecomeFailuresThatSayWhyAndTheJobGoesOn() throws Exception {
    Topics topics = create("bad-");
    Path storeFolder = store(topics.images());
    PayloadStore store = new PayloadStore(PayloadSettings.of(settings(topics.images())));
    byte[] png = Images.write(scene(1, 8), "image/png");
    byte[] tiff = Images.write(scene(1, 8), "image/tiff");
    Path outside = Files.write(folder.resolve("outside.png"), png);
    byte[] other = Images.write(scene(2, 8), "image/png");
    PayloadReference kept = Payloads.reference(store.store(png, "")).orElseThrow();
    Files.write(Path.of(java.net.URI.create(kept.getUri())), other);

    Map<String, Payload> bad = new LinkedHashMap<>();
    bad.put("empty", inline(new byte[0]));
    bad.put("text", inline("not an image".getBytes(java.nio.charset.StandardCharsets.UTF_8)));
    bad.put("truncated png", inline(Arrays.copyOf(png, png.length / 2)));
    bad.put("truncated tiff", inline(Arrays.copyOf(tiff, tiff.length / 2)));
    bad.put("flipped png", inline(flipped(png)));
    bad.put("bomb", inline(pngThatClaims(png, 50_000, 50_000)));
    bad.put("zero", inline(pngThatClaims(png, 0, 8)));
    bad.put("not finite", inline(tiffWithNaN()));
    bad.put("measurements", inline(Images.write(measurements(), "image/tiff")));
    bad.put("digest", Payloads.stored(kept, ""));
    bad.put(
        "outside",
        Payloads.stored(
            new PayloadReference(
                outside.toUri().toString(), Payloads.sha256(png), (long) png.length),
            ""));
    bad.put(
        "climbs",
        Payloads.stored(
            new PayloadReference(
                storeFolder.toUri() + "../outside.png", Payloads.sha256(png), (long) png.length),
            ""));
    Map<String, Payload> good = new LinkedHashMap<>();
    good.put("plain", inline(png));
    good.put("palette and alpha", inline(png(BufferedImage.TYPE_4BYTE_ABGR)));
    good.put("indexed", inline(png(BufferedImage.TYPE_BYTE_INDEXED)));
    good.put("gray", inline(png(BufferedImage.TYPE_BYTE_GRAY)));
    send(
        topics,
        Stream.concat(good.entrySet().stream(), bad.entrySet().stream())
            .map(
                image ->
                    ImageTaskEvent.newBuilder()
                        .setId(image.getKey())
                        .setImage(image.getValue())
                        .build())
            .toList());
    start(topics, UnaryOperator.identity());

    JOB.kafka().readCommitted(topics.images(), good.size(), PATIENCE);
    JOB.kafka().readCommitted(topics.failures(), bad.size(), PATIENCE);
    JOB.end();

    assertThat(images(topics))
        .extracting(ImageEvent::getId)
        .containsExactlyInAnyOrderElementsOf(good.keySet());
    Map<String, FailureEvent> failures = new LinkedHashMap<>();
    for (var record : JOB.kafka().readCommitted(topics.failures())) {
      FailureEvent failure = EventCodec.failures().decode(record.value());
      assertThat(failures.put(failure.getId(), failure)).isNull();
    }
    assertThat(failures).containsOnlyKeys(bad.keySet());
    Set<String> ofPayloads = Set.of("digest", "outside", "climbs");
    failures.forEach(
        (id, failure) ->
            assertThat(failure.getReason())
                .as("%s: %s", id, failure.getMessage())
                .isEqualTo(
                    ofPayloads.contains(id)
                        ? FailureReason.PAYLOAD
                        : FailureReason.INVALID_REQUEST));
    assertThat(failures.get("bomb").getMessage()).contains("50000 x 50000", "at most");
    assertThat(failures.get("not finite").getMessage()).contains("NaN");
    assertThat(failures.get("measurements").getMessage()).contains("5 bands");
    assertThat(failures.get("digest").getMessage()).contains(kept.getSha256());
    for (FailureEvent failure : failures.values()) {
      ByteBuffer original = failure.getOriginal().duplicate();
      byte[] bytes = new byte[original.remaining()];
      original.get(bytes);
      assertThat(EventCodec.imageTasks().decode(bytes).getId()).isEqualTo(failure.getId());
    }
  }

  private static Payload inline(byte[] file) {
    return Payloads.inline(file, "");
  }

  private static byte[] flipped(byte[] file) {
    byte[] damaged = file.clone();
    damaged[file.length / 2] ^= 0x10;
    return damaged;
  }

  /** A file whose header is in order, but for what it says of its size. */
  private static byte[] pngThatClaims(byte[] png, int width, int height) {
    ByteBuffer bytes = ByteBuffer.wrap(png.clone());
    bytes.putInt(16, width).putInt(20, height);
    CRC32 crc = new CRC32();
    crc.update(bytes.array(), 12, 17);
    return bytes.putInt(29, (int) crc.getValue()).array();
  }

  private static Raster measurements() {
    return new Raster(
        5,
        4,
        4,
        new float[80],
        PixelFormat.of(Bands.MEASUREMENTS, SampleType.UINT16),
        ImageMetadata.NONE);
  }

  private static byte[] png(int type) throws IOException {
    BufferedImage image = new BufferedImage(8, 8, type);
    image.setRGB(3, 4, 0x80FF4020);
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    assertThat(ImageIO.write(image, "png", bytes)).isTrue();
    return bytes.toByteArray();
  }

  private static byte[] tiffWithNaN() throws IOException {
    ComponentColorModel floats =
        new ComponentColorModel(
            ColorSpace.getInstance(ColorSpace.CS_GRAY),
            false,
            false,
            java.awt.Transparency.OPAQUE,
            DataBuffer.TYPE_FLOAT);
    WritableRaster values = floats.createCompatibleWritableRaster(8, 8);
    values.setSample(3, 3, 0, Float.NaN);
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    assertThat(ImageIO.write(new BufferedImage(floats, values, false, null), "tiff", bytes))
        .isTrue();
    return bytes.toByteArray();
  }

  /** Fails once, after a checkpoint has completed that had results before it. */
  private static final class FailsOnce
      implements MapFunction<ImageEvent, ImageEvent>, CheckpointListener {
    private static final long serialVersionUID = 1L;

    static CountDownLatch checkpointCompleted;
    static AtomicBoolean failed;

    private transient long seen;

    static void reset() {
      checkpointCompleted = new CountDownLatch(1);
      failed = new AtomicBoolean();
    }

    @Override
    public ImageEvent map(ImageEvent image) {
      seen++;
      if (checkpointCompleted.getCount() == 0 && failed.compareAndSet(false, true)) {
        throw new IllegalStateException("induced");
      }
      return image;
    }

    @Override
    public void notifyCheckpointComplete(long checkpointId) {
      if (seen > 0) {
        checkpointCompleted.countDown();
      }
    }
  }
}
