/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * One job with a heap of 512 MB on a real broker: among twenty good prompts a record of 20 MB that
 * is none, among twenty good image tasks two whose paths the system refuses. The job may not
 * restart: see {@link BadRequestsProgram}.
 */
class BadRequestsITCase {
  private static final int GOOD = 20;
  private static final int RECORD_BYTES = 20 << 20;
  private static final String BROKER_LIMIT = Integer.toString(32 << 20);
  private static final Duration PATIENCE = Duration.ofSeconds(90);

  @TempDir Path folder;

  private final Raster raster = new Raster(3, 8, 8, new float[3 * 8 * 8]);
  private final byte[] file = Images.write(raster, "image/tiff");

  private Process job;
  private Path log;

  @Test
  void theGoodOnesAreAnsweredEachBadOneOnceAndTheJobDoesNotRestart() throws Exception {
    Path images = Files.createDirectory(folder.resolve("images"));
    Files.write(images.resolve("ok.tif"), file);
    byte[] large = new byte[RECORD_BYTES];
    new Random(1).nextBytes(large);

    try (EmbeddedKafka kafka =
        EmbeddedKafka.builder()
            .setting("message.max.bytes", BROKER_LIMIT)
            .setting("replica.fetch.max.bytes", BROKER_LIMIT)
            .start()) {
      kafka.createTopics(1, "prompts", "tasks", "images", "failures");
      send(kafka, large, images.toUri().toString());
      start(kafka, images);
      try {
        assertThat(
                kafka.readCommitted("images", 2 * GOOD, PATIENCE).stream()
                    .map(record -> decoded(record.value())))
            .containsExactlyInAnyOrderElementsOf(answered());
        kafka.readCommitted("failures", 3, PATIENCE);
        assertThat(job.isAlive()).as("%s", Files.readString(log)).isTrue();
      } finally {
        job.destroyForcibly().waitFor();
      }
      assertThat(kafka.readCommitted("images")).hasSize(2 * GOOD);
      assertFailures(kafka, large);
    }
  }

  private static String decoded(byte[] image) {
    try {
      return EventCodec.images().decode(image).getId();
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  private static List<String> answered() {
    List<String> ids = new ArrayList<>();
    for (int i = 0; i < GOOD; i++) {
      ids.add("prompt " + i);
      ids.add("task " + i);
    }
    return ids;
  }

  private void assertFailures(EmbeddedKafka kafka, byte[] large) throws Exception {
    List<FailureEvent> failures = new ArrayList<>();
    for (var record : kafka.readCommitted("failures")) {
      failures.add(EventCodec.failures().decode(record.value()));
    }
    assertThat(failures).hasSize(3);
    Map<String, FailureEvent> byId =
        failures.stream()
            .collect(
                Collectors.toMap(failure -> String.valueOf(failure.getId()), Function.identity()));
    FailureEvent undecodable = byId.get("null");
    assertThat(undecodable.getReason()).isEqualTo(FailureReason.UNDECODABLE);
    assertThat(undecodable.getTopic()).isEqualTo("prompts");
    assertThat(undecodable.getOffset()).isEqualTo(GOOD / 2);
    assertThat(undecodable.getOriginalSize()).isEqualTo(large.length);
    assertThat(undecodable.getOriginalSha256()).isEqualTo(Payloads.sha256(large));
    byte[] kept = new byte[undecodable.getOriginal().remaining()];
    undecodable.getOriginal().get(kept);
    assertThat(kept.length).isBetween(1 << 19, 1 << 20);
    assertThat(large).startsWith(kept);
    for (String id : List.of("file as folder", "long name")) {
      assertThat(byId.get(id).getReason()).as(id).isEqualTo(FailureReason.PAYLOAD);
    }
  }

  // ------------------------------------------------------------------ requests

  private void send(EmbeddedKafka kafka, byte[] large, String images) throws Exception {
    Properties properties = new Properties();
    properties.setProperty("bootstrap.servers", kafka.bootstrapServers());
    properties.setProperty("max.request.size", BROKER_LIMIT);
    try (KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer())) {
      for (int i = 0; i < GOOD; i++) {
        if (i == GOOD / 2) {
          send(producer, "prompts", large);
          send(producer, "tasks", task("file as folder", images + "ok.tif/x"));
          send(producer, "tasks", task("long name", images + "n".repeat(300)));
        }
        send(
            producer,
            "prompts",
            EventCodec.prompts()
                .encode(PromptEvent.newBuilder().setId("prompt " + i).setPrompt("a cat").build()));
        send(producer, "tasks", task("task " + i, images + "ok.tif"));
      }
    }
  }

  private static void send(KafkaProducer<byte[], byte[]> producer, String topic, byte[] value)
      throws Exception {
    producer.send(new ProducerRecord<>(topic, value)).get();
  }

  private byte[] task(String id, String uri) {
    return EventCodec.imageTasks()
        .encode(
            ImageTaskEvent.newBuilder()
                .setId(id)
                .setImage(
                    Payloads.stored(
                        new PayloadReference(uri, Payloads.sha256(file), (long) file.length), ""))
                .build());
  }

  // ------------------------------------------------------------------ the job's process

  private void start(EmbeddedKafka kafka, Path images) throws Exception {
    log = folder.resolve("log");
    job =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "-XX:+UseSerialGC",
                "-Dai.djl.pytorch.num_threads=1",
                "-Dai.djl.pytorch.num_interop_threads=1",
                "-Dai.djl.offline=true",
                "-Djava.awt.headless=true",
                "-cp",
                System.getProperty("java.class.path"),
                BadRequestsProgram.class.getName(),
                kafka.bootstrapServers(),
                images.toString())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
  }
}
