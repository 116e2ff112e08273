/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.configuration.MemorySize;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PayloadCleanUpToolITCase {
  @TempDir Path folder;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();
  private final PrintStream standardOut = System.out;
  private final PrintStream standardErr = System.err;

  @BeforeEach
  void captureOutput() {
    System.setOut(new PrintStream(out, true, UTF_8));
    System.setErr(new PrintStream(err, true, UTF_8));
  }

  @AfterEach
  void releaseOutput() {
    System.setOut(standardOut);
    System.setErr(standardErr);
  }

  /** The file of a payload, made ten days old. */
  private static Path aged(Payload payload) throws IOException {
    String uri = Payloads.reference(payload).orElseThrow().getUri();
    Path file = Path.of(uri.substring("file:".length()));
    Files.setLastModifiedTime(file, FileTime.from(Instant.now().minus(Duration.ofDays(10))));
    return file;
  }

  private static ProducerRecord<byte[], byte[]> event(Payload picture) {
    ImageEvent event =
        Payloads.setPicture(ImageEvent.newBuilder(), picture)
            .setId("a")
            .setWidth(1)
            .setHeight(1)
            .build();
    return new ProducerRecord<>("images", EventCodec.images().encode(event));
  }

  @Test
  void saysWhatItWouldDeleteAndDeletesItWhenAsked() throws Exception {
    PayloadStore store =
        new PayloadStore(
            new PayloadSettings(
                folder.toUri().toString(), MemorySize.ZERO, List.of(), MemorySize.ofMebiBytes(1)));
    Payload picture = store.write(new byte[] {2, 3}, "image/png");
    Path named = aged(picture);
    Path orphan = aged(store.write(new byte[] {1}, "image/png"));
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      kafka.createTopics(1, "images", "empty");
      String[] arguments = {
        "--store", folder.toUri().toString(),
        "--bootstrap-servers", kafka.bootstrapServers(),
        "--topic", "images,empty"
      };

      assertThat(PayloadCleanUpTool.run(with(arguments, "--delete"))).isEqualTo(1);
      assertThat(err.toString(UTF_8)).contains("There is no event in images, empty");

      kafka.send(List.of(event(picture)));
      assertThat(PayloadCleanUpTool.run(arguments)).as(err.toString(UTF_8)).isZero();
      assertThat(out.toString(UTF_8))
          .contains("1 events name images 1 times")
          .contains("1 old image (2 bytes) named by an event")
          .contains("1 old image (1 bytes) would be deleted")
          .contains("Nothing was deleted");
      assertThat(orphan).exists();

      kafka.send(List.of(new ProducerRecord<>("images", "no event".getBytes(UTF_8))));
      assertThat(PayloadCleanUpTool.run(with(arguments, "--delete"))).isEqualTo(1);
      assertThat(err.toString(UTF_8))
          .contains("1 records are not events")
          .contains("topic images, partition 0, offset 1");
      assertThat(orphan).exists();

      assertThat(PayloadCleanUpTool.run(with(arguments, "--delete", "--ignore-undecodable")))
          .as(err.toString(UTF_8))
          .isZero();
      assertThat(out.toString(UTF_8)).contains("1 old image (1 bytes) deleted");
      assertThat(orphan).doesNotExist();
      assertThat(named).exists();
    }
  }

  @Test
  void wrongArgumentsAreToldBeforeAnythingIsDone() {
    assertThat(PayloadCleanUpTool.run("--store", "file:" + folder)).isEqualTo(2);
    assertThat(err.toString(UTF_8)).contains("--topic");
    assertThat(PayloadCleanUpTool.run("--topic", "a", "--older-than", "soon")).isEqualTo(2);
    assertThat(err.toString(UTF_8)).contains("'soon' is not a duration");
    assertThat(PayloadCleanUpTool.run("--topic", "a")).isEqualTo(1);
    assertThat(err.toString(UTF_8)).contains("Give --store", "diffusion.payload.store");
    assertThat(
            PayloadCleanUpTool.run(
                "--topic",
                "a",
                "--store",
                "file:" + folder,
                "--bootstrap-servers",
                "localhost:1",
                "--older-than",
                "1 h"))
        .isEqualTo(1);
    assertThat(err.toString(UTF_8)).contains("48 hours old or older");
  }

  private static String[] with(String[] arguments, String... more) {
    String[] all = Arrays.copyOf(arguments, arguments.length + more.length);
    System.arraycopy(more, 0, all, arguments.length, more.length);
    return all;
  }
}
