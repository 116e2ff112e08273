/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadCleanUp;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** Images in events and beside them, with a real broker and a real cluster. */
class PayloadExactlyOnceITCase {
  private static final Duration PATIENCE = Duration.ofSeconds(90);
  private static final int PARALLELISM = 2;
  private static final int INLINE_LIMIT = 1000;
  private static final int REQUESTS = 200;

  @RegisterExtension
  static final MiniClusterExtension FLINK =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(PARALLELISM)
              .build());

  private static EmbeddedKafka kafka;

  @TempDir Path folder;

  @BeforeAll
  static void startKafka() {
    kafka = EmbeddedKafka.builder().start();
  }

  @AfterAll
  static void stopKafka() {
    kafka.close();
  }

  private static StreamExecutionEnvironment environment(int restarts) {
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(
            new Configuration()
                .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(300))
                .set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay")
                .set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, restarts)
                .set(
                    RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY,
                    Duration.ofMillis(100))
                .set(PipelineOptions.GENERIC_TYPES, false)
                .set(KafkaOptions.BOOTSTRAP_SERVERS, kafka.bootstrapServers())
                .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, "payload-test"));
    env.setParallelism(PARALLELISM);
    return env;
  }

  private PayloadSettings settings() {
    return new PayloadSettings(
        folder.resolve("store").toUri().toString(),
        new MemorySize(INLINE_LIMIT),
        List.of(folder.resolve("inputs").toUri().toString()),
        MemorySize.ofMebiBytes(1));
  }

  /** Bytes of a request; those of every second one are above the limit, and 100 times shared. */
  private static byte[] picture(int number) {
    byte[] bytes = new byte[number % 2 == 0 ? INLINE_LIMIT / 2 : INLINE_LIMIT * 2];
    bytes[0] = (byte) (number % 100);
    return bytes;
  }

  /** What the job makes of a picture: the same length, other bytes. */
  private static byte[] negative(byte[] picture) {
    byte[] bytes = picture.clone();
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] ^= (byte) 0xff;
    }
    return bytes;
  }

  private ProducerRecord<byte[], byte[]> request(int number) throws IOException {
    byte[] bytes = picture(number);
    Payload image;
    if (bytes.length > INLINE_LIMIT) {
      Path file = Files.createDirectories(folder.resolve("inputs")).resolve("scan " + number);
      Files.write(file, bytes);
      image =
          Payloads.stored(
              new PayloadReference("file:" + file, Payloads.sha256(bytes), (long) bytes.length),
              "");
    } else {
      image = Payloads.inline(bytes, "");
    }
    return new ProducerRecord<>(
        "tasks",
        EventCodec.imageTasks()
            .encode(ImageTaskEvent.newBuilder().setId("r" + number).setImage(image).build()));
  }

  private void send(int from, int to) throws IOException {
    kafka.send(
        IntStream.range(from, to)
            .mapToObj(
                number -> {
                  try {
                    return request(number);
                  } catch (IOException e) {
                    throw new AssertionError(e);
                  }
                })
            .toList());
  }

  @Test
  void everyPictureComesOnceAndIsThereThoughTheJobFailsInBetween() throws Exception {
    kafka.createTopics(2, "tasks", "results", "result-failures");
    StreamExecutionEnvironment env = environment(1);
    Inverting.reset();
    var tasks =
        Decoded.split(
            env.fromSource(
                    DiffusionSources.imageTasks().setTopics("tasks").build(env),
                    WatermarkStrategy.noWatermarks(),
                    "tasks")
                .uid("tasks"));
    tasks
        .events()
        .rebalance()
        .map(new Inverting(settings()))
        .uid("invert")
        .sinkTo(
            DiffusionSinks.images()
                .setTopic("results")
                .setFailuresTopic("result-failures")
                .build(env))
        .uid("results");
    send(0, REQUESTS / 4);
    JobClient job = env.executeAsync("payloads");
    assertThat(Inverting.checkpointCompleted.await(PATIENCE.toSeconds(), TimeUnit.SECONDS))
        .as("a checkpoint completed")
        .isTrue();
    send(REQUESTS / 4, REQUESTS);
    kafka.readCommitted("results", REQUESTS, PATIENCE);
    job.cancel().get();

    assertThat(Inverting.failed).isTrue();
    PayloadStore reader = new PayloadStore(settings());
    List<ImageEvent> results = results();
    assertThat(results)
        .extracting(ImageEvent::getId)
        .as("none missing, none twice")
        .containsExactlyInAnyOrderElementsOf(
            IntStream.range(0, REQUESTS).mapToObj(i -> "r" + i).toList());
    for (ImageEvent result : results) {
      byte[] expected = negative(picture(Integer.parseInt(result.getId().substring(1))));
      assertThat(result.getImageReference() != null)
          .as("beside Kafka when it is large")
          .isEqualTo(expected.length > INLINE_LIMIT);
      assertThat(reader.read(Payloads.image(result)))
          .as("no dangling reference")
          .isEqualTo(expected);
      assertThat(result.getDigest()).isEqualTo(Payloads.sha256(expected));
    }
    assertThat(kafka.readCommitted("result-failures")).isEmpty();
    assertThat(storedFiles())
        .as("every content once, and nothing that is not named, whatever was replayed")
        .hasSize(
            (int)
                results.stream()
                    .map(ImageEvent::getImageReference)
                    .filter(Objects::nonNull)
                    .distinct()
                    .count());
    cleanUpTakesWhatNoEventNames(reader);
  }

  /** A payload whose event was taken back, and the results of the job; all old. */
  private void cleanUpTakesWhatNoEventNames(PayloadStore store) throws Exception {
    Payload orphan = store.write(new byte[INLINE_LIMIT + 5], "");
    for (Path file : storedFiles()) {
      Files.setLastModifiedTime(file, FileTime.from(Instant.now().minus(Duration.ofDays(8))));
    }
    Properties client = new Properties();
    client.setProperty(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, kafka.bootstrapServers());
    Properties writer = new Properties();
    writer.putAll(client);
    writer.setProperty(ProducerConfig.TRANSACTIONAL_ID_CONFIG, "aborted");
    try (var producer =
        new KafkaProducer<>(writer, new ByteArraySerializer(), new ByteArraySerializer())) {
      producer.initTransactions();
      producer.beginTransaction();
      ImageEvent takenBack =
          Payloads.setPicture(ImageEvent.newBuilder(), orphan)
              .setId("taken back")
              .setWidth(1)
              .setHeight(1)
              .build();
      producer.send(new ProducerRecord<>("results", EventCodec.images().encode(takenBack)));
      producer.flush();
      producer.abortTransaction();
    }
    kafka.send(List.of(new ProducerRecord<>("tasks", "no event".getBytes(UTF_8))));

    PayloadCleanUp cleanUp =
        PayloadCleanUp.list(settings().storeUri(), Duration.ofDays(7), done -> {});
    NamedPayloads.Read read =
        NamedPayloads.read(client, List.of("tasks", "results"), cleanUp::keep, (done, total) -> {});
    assertThat(read.events()).isEqualTo(2 * REQUESTS);
    assertThat(read.references()).isEqualTo(REQUESTS);
    assertThat(read.undecodable()).isEqualTo(1);
    assertThat(read.firstUndecodable().orElseThrow()).startsWith("topic tasks, partition");
    assertThat(cleanUp.delete(done -> {}).payloads())
        .isEqualTo(new PayloadCleanUp.Amount(1, INLINE_LIMIT + 5));
    assertThatThrownBy(() -> store.read(orphan)).isInstanceOf(PayloadException.class);
    for (ImageEvent result : results()) {
      store.read(Payloads.image(result));
    }

    assertThatThrownBy(
            () -> NamedPayloads.read(client, List.of("misspelt"), cleanUp::keep, (d, t) -> {}))
        .isInstanceOf(KafkaSettingsException.class)
        .hasMessageContaining("misspelt");
  }

  private static List<ImageEvent> results() throws Exception {
    List<ImageEvent> results = new ArrayList<>();
    for (var record : kafka.readCommitted("results")) {
      results.add(EventCodec.images().decode(record.value()));
    }
    return results;
  }

  /** Without the temporary file that a writer may leave when its task is cancelled. */
  private List<Path> storedFiles() throws IOException {
    try (Stream<Path> files = Files.walk(folder.resolve("store"))) {
      return files
          .filter(Files::isRegularFile)
          .filter(file -> !file.getFileName().toString().contains(".inprogress."))
          .toList();
    }
  }

  @Test
  void aPictureThatIsTooLargeForKafkaIsAFailureOnceAndTheOthersGoOn() throws Exception {
    kafka.createTopics(1, "bulky-in", "bulky-out", "bulky-failures");
    kafka.send(
        IntStream.of(10, 3 << 20, 20)
            .mapToObj(
                bytes ->
                    new ProducerRecord<byte[], byte[]>(
                        "bulky-in",
                        EventCodec.images()
                            .encode(
                                Payloads.setPicture(
                                        ImageEvent.newBuilder(),
                                        Payloads.inline(new byte[bytes], "image/png"))
                                    .setId("b" + bytes)
                                    .setWidth(1)
                                    .setHeight(1)
                                    .build())))
            .toList());
    StreamExecutionEnvironment env = environment(0);
    var source =
        DiffusionSources.images()
            .setTopics("bulky-in")
            .setBounded(OffsetsInitializer.latest())
            .build(env);
    Decoded.split(env.fromSource(source, WatermarkStrategy.noWatermarks(), "images"))
        .events()
        .sinkTo(
            DiffusionSinks.images()
                .setTopic("bulky-out")
                .setFailuresTopic("bulky-failures")
                .setMaxEventSize(MemorySize.ofMebiBytes(1))
                .build(env));
    env.execute("bulky");

    assertThat(kafka.readCommitted("bulky-out"))
        .extracting(r -> EventCodec.images().decode(r.value()).getId())
        .containsExactly("b10", "b20");
    FailureEvent failure =
        EventCodec.failures().decode(kafka.readCommitted("bulky-failures").get(0).value());
    assertThat(kafka.readCommitted("bulky-failures")).hasSize(1);
    assertThat(failure.getId()).isEqualTo("b" + (3 << 20));
    assertThat(failure.getReason()).isEqualTo(FailureReason.TOO_LARGE);
  }

  /**
   * Reads a picture, writes its negative, and fails once, some records after a checkpoint has
   * completed, so that there are payloads without a committed event. (A job's own functions put
   * payloads on a pool; here it is simpler to block.)
   */
  private static final class Inverting extends RichMapFunction<ImageTaskEvent, ImageEvent>
      implements CheckpointListener {
    private static final long serialVersionUID = 1L;
    private static final int RECORDS_AFTER_CHECKPOINT = 40;

    static CountDownLatch checkpointCompleted;
    static AtomicInteger recordsSince;
    static AtomicBoolean failed;

    private final PayloadSettings settings;
    private transient PayloadStore store;
    private transient long seen;

    Inverting(PayloadSettings settings) {
      this.settings = settings;
    }

    static void reset() {
      checkpointCompleted = new CountDownLatch(1);
      recordsSince = new AtomicInteger();
      failed = new AtomicBoolean();
    }

    @Override
    public void open(OpenContext context) {
      store = new PayloadStore(settings);
    }

    @Override
    public ImageEvent map(ImageTaskEvent task) {
      seen++;
      Payload result = store.write(negative(store.read(task.getImage())), "image/png");
      if (checkpointCompleted.getCount() == 0
          && recordsSince.incrementAndGet() == RECORDS_AFTER_CHECKPOINT) {
        failed.set(true);
        throw new IllegalStateException("induced");
      }
      return Payloads.setPicture(ImageEvent.newBuilder(), result)
          .setId(task.getId())
          .setWidth(1)
          .setHeight(1)
          .build();
    }

    @Override
    public void notifyCheckpointComplete(long checkpointId) {
      if (seen > 0) {
        checkpointCompleted.countDown();
      }
    }
  }
}
