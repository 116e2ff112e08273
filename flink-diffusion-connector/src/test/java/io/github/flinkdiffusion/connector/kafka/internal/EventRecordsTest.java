/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureMessages;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Original;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.kafka.RecordKey;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import org.apache.flink.util.InstantiationUtil;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.Test;

class EventRecordsTest {
  private static final int LIMIT = 64 << 10;

  private final EventRecords<ImageEvent> images =
      new EventRecords<>(
          "images",
          image -> Keys.utf8(image.getId()),
          new EventSerializer<>(ImageEvent.class, FormatSettings.AVRO, "images"),
          LIMIT,
          TooLarge::image,
          "failures",
          RecordKey.REQUEST,
          FormatSettings.AVRO);

  private static ImageEvent image(int bytes) {
    return ImageEvent.newBuilder()
        .setId("a")
        .setImage(ByteBuffer.allocate(bytes))
        .setWidth(640)
        .setHeight(480)
        .setAttributes(Map.of("tenant", "b"))
        .build();
  }

  @Test
  void anEventThatFitsIsWrittenAsItIs() throws Exception {
    ProducerRecord<byte[], byte[]> record = images.serialize(image(60_000), null, 17L);
    assertThat(record.topic()).isEqualTo("images");
    assertThat(record.key()).isEqualTo("a".getBytes(UTF_8));
    assertThat(record.timestamp()).isEqualTo(17L);
    assertThat(record.partition()).isNull();
    assertThat(EventCodec.images().decode(record.value())).isEqualTo(image(60_000));
    assertThat(images.serialize(image(1), null, Long.MIN_VALUE).timestamp()).isNull();
    assertThat(images.serialize(image(1), null, null).timestamp()).isNull();
  }

  @Test
  void aPictureThatDoesNotFitBecomesAFailureThatSaysWhatToSet() throws Exception {
    ProducerRecord<byte[], byte[]> record = images.serialize(image(LIMIT), null, null);
    assertThat(record.topic()).isEqualTo("failures");
    assertThat(record.key()).isEqualTo("a".getBytes(UTF_8));
    FailureEvent failure = EventCodec.failures().decode(record.value());
    assertThat(failure.getId()).isEqualTo("a");
    assertThat(failure.getReason()).isEqualTo(FailureReason.TOO_LARGE);
    assertThat(failure.getAttributes()).containsEntry("tenant", "b");
    assertThat(failure.getMessage())
        .startsWith("The result of request a, with an image of 640 x 480 pixels, has 66")
        .contains("topic images takes at most 65536")
        .contains("diffusion.payload.store")
        .contains("diffusion.kafka.max-event-size");
  }

  @Test
  void theMessageIsOneBoundedLineWhateverTheId() throws Exception {
    String id = "first\nsecond\u0000 /srv/of-the-sender " + "x".repeat(2_000);
    ImageEvent image = ImageEvent.newBuilder(image(LIMIT)).setId(id).build();
    ProducerRecord<byte[], byte[]> record = images.serialize(image, null, null);
    assertThat(EventCodec.failures().decode(record.value()).getMessage())
        .startsWith("The result of request first second /srv/of-the-sender xxx")
        .contains("diffusion.payload.store")
        .hasSizeLessThanOrEqualTo(FailureMessages.MAX_CHARS)
        .doesNotContain("\n", "\u0000");
  }

  @Test
  void theEdgeIsWhereTheRecordWithItsHeadersFitsNoMore() {
    int overhead = EventCodec.images().encode(image(60_000)).length - 60_000;
    int largest = LIMIT - 1024 - 1 - overhead;
    assertThat(images.serialize(image(largest), null, null).topic()).isEqualTo("images");
    assertThat(images.serialize(image(largest + 1), null, null).topic()).isEqualTo("failures");
  }

  @Test
  void aResultThatDoesNotFitBecomesAFailureThatCanBeSentAgain() throws Exception {
    byte[] request =
        EventCodec.prompts().encode(PromptEvent.newBuilder().setId("a").setPrompt("a cat").build());
    ImageEvent result = image(LIMIT);
    result.setOriginal(
        new Original(ByteBuffer.wrap(request), null, null, new RecordPosition("prompts", 3, 17L)));
    FailureEvent failure =
        EventCodec.failures().decode(images().serialize(result, null, null).value());
    assertThat(failure.getReason()).isEqualTo(FailureReason.TOO_LARGE);
    assertThat(failure.getOriginal()).isEqualTo(ByteBuffer.wrap(request));
    assertThat(failure.getTopic()).isEqualTo("prompts");
    assertThat(failure.getPartition()).isEqualTo(3);
    assertThat(failure.getOffset()).isEqualTo(17L);
  }

  @Test
  void aResultThatFitsIsWrittenWithoutItsRequest() throws Exception {
    ImageEvent result = image(100);
    ImageEvent written = ImageEvent.newBuilder(result).build();
    result.setOriginal(new Original(ByteBuffer.allocate(LIMIT), null, null, null));
    ProducerRecord<byte[], byte[]> record = images().serialize(result, null, null);
    assertThat(record.topic()).isEqualTo("images");
    assertThat(EventCodec.images().decode(record.value())).isEqualTo(written);
  }

  private static EventRecords<ImageEvent> images() {
    return new EventRecords<>(
        "images",
        image -> Keys.utf8(image.getId()),
        new ImageSerializer(FormatSettings.AVRO, "images"),
        LIMIT,
        TooLarge::image,
        "failures",
        RecordKey.REQUEST,
        FormatSettings.AVRO);
  }

  @Test
  void requestsThatDoNotFitBecomeFailuresWithTheirPlaceInKafka() throws Exception {
    RecordPosition origin = new RecordPosition("prompts", 3, 17L);
    PromptEvent prompt =
        PromptEvent.newBuilder().setId("a").setPrompt("x".repeat(LIMIT)).setOrigin(origin).build();
    ImageTaskEvent task =
        ImageTaskEvent.newBuilder()
            .setId("a")
            .setImage(Payloads.inline(new byte[LIMIT], ""))
            .setOrigin(origin)
            .build();
    for (ProducerRecord<byte[], byte[]> record :
        List.of(
            new EventRecords<>(
                    "out",
                    p -> Keys.utf8(p.getId()),
                    new EventSerializer<>(PromptEvent.class, FormatSettings.AVRO, "prompts"),
                    LIMIT,
                    TooLarge::prompt,
                    "failures",
                    RecordKey.REQUEST,
                    FormatSettings.AVRO)
                .serialize(prompt, null, null),
            new EventRecords<>(
                    "out",
                    t -> Keys.utf8(t.getId()),
                    new EventSerializer<>(ImageTaskEvent.class, FormatSettings.AVRO, "tasks"),
                    LIMIT,
                    TooLarge::imageTask,
                    "failures",
                    RecordKey.REQUEST,
                    FormatSettings.AVRO)
                .serialize(task, null, null))) {
      assertThat(record.topic()).isEqualTo("failures");
      FailureEvent failure = EventCodec.failures().decode(record.value());
      assertThat(failure.getReason()).isEqualTo(FailureReason.TOO_LARGE);
      assertThat(failure.getTopic()).isEqualTo("prompts");
      assertThat(failure.getPartition()).isEqualTo(3);
      assertThat(failure.getOffset()).isEqualTo(17L);
      assertThat(failure.getMessage()).startsWith("Request a has ");
      // As much of it as a record takes, and enough to know it by.
      assertThat(failure.getOriginal().remaining()).isBetween(LIMIT / 2, LIMIT);
      assertThat(failure.getOriginalSize()).isGreaterThan(LIMIT);
      assertThat(failure.getOriginalSha256()).matches("[0-9a-f]{64}");
    }
  }

  @Test
  void progressGoesWithoutItsPreviewAndCancellationsWithoutTheirReason() throws Exception {
    ShorteningSerializer<ProgressEvent> progress =
        new ShorteningSerializer<>(
            ProgressEvent.class,
            p -> Keys.utf8(p.getId()),
            TooLarge::shortened,
            LIMIT,
            FormatSettings.AVRO,
            "out");
    ProgressEvent.Builder event = ProgressEvent.newBuilder().setId("a").setStep(1).setTotalSteps(2);
    ProgressEvent small = event.setPreview(ByteBuffer.allocate(100)).build();
    assertThat(EventCodec.progress().decode(progress.serialize(small))).isEqualTo(small);
    ProgressEvent large = event.setPreview(ByteBuffer.allocate(LIMIT)).build();
    assertThat(EventCodec.progress().decode(progress.serialize(large)))
        .isEqualTo(event.setPreview(null).build());

    ShorteningSerializer<CancelEvent> cancellations =
        new ShorteningSerializer<>(
            CancelEvent.class,
            c -> Keys.utf8(c.getId()),
            TooLarge::shortened,
            LIMIT,
            FormatSettings.AVRO,
            "out");
    byte[] cancel = cancellations.serialize(new CancelEvent("a", "why ".repeat(LIMIT)));
    assertThat(EventCodec.cancellations().decode(cancel).getId()).isEqualTo("a");
    assertThat(cancel.length).isLessThan(1024);
  }

  @Test
  void openTransactionsAreLookedForOnBothTopics() throws Exception {
    assertThat(
            InstantiationUtil.clone(images)
                .getKafkaDatasetFacet()
                .orElseThrow()
                .getTopicIdentifier()
                .getTopics())
        .containsExactly("images", "failures");
  }
}
