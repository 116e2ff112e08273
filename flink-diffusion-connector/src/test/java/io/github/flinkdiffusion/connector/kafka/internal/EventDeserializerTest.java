/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import io.github.flinkdiffusion.connector.kafka.EventHeaders;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.Test;

class EventDeserializerTest {
  private static final int MAX_ORIGINAL = 1000;

  private final EventDeserializer<PromptEvent> deserializer =
      new EventDeserializer<>(PromptEvent.class, MAX_ORIGINAL, FormatSettings.AVRO, List.of());

  private Decoded<PromptEvent> decode(byte[] value) {
    return deserializer.decode(new ConsumerRecord<>("prompts", 3, 17L, null, value));
  }

  @Test
  void anEventIsAnEventThatKnowsItsPlace() {
    PromptEvent prompt = PromptEvent.newBuilder().setId("a").setPrompt("a cat").build();
    prompt.setOrigin(new RecordPosition("another topic", 0, 0L)); // what a sender says is not so
    Decoded<PromptEvent> decoded = decode(EventCodec.prompts().encode(prompt));
    prompt.setOrigin(new RecordPosition("prompts", 3, 17L));
    assertThat(decoded).isEqualTo(Decoded.event(prompt));
  }

  @Test
  void otherBytesAreAFailureWithTheBytesAndTheirPlace() {
    byte[] json = "{\"prompt\": \"a cat\"}".getBytes(UTF_8);
    FailureEvent failure = decode(json).failure().orElseThrow();
    assertThat(failure.getReason()).isEqualTo(FailureReason.UNDECODABLE);
    assertThat(failure.getMessage())
        .startsWith("Cannot read a PromptEvent from topic prompts, partition 3, offset 17: ")
        .contains("single-object encoding");
    assertThat(failure.getOriginal()).isEqualTo(ByteBuffer.wrap(json));
    assertThat(failure.getTopic()).isEqualTo("prompts");
    assertThat(failure.getPartition()).isEqualTo(3);
    assertThat(failure.getOffset()).isEqualTo(17L);
    assertThat(failure.getId()).isNull();
  }

  @Test
  void aTombstoneIsAFailureWithoutBytes() {
    FailureEvent failure = decode(null).failure().orElseThrow();
    assertThat(failure.getReason()).isEqualTo(FailureReason.UNDECODABLE);
    assertThat(failure.getMessage()).contains("tombstone");
    assertThat(failure.getOriginal().remaining()).isZero();
  }

  @Test
  void aLargeRecordThatIsNoEventIsTruncatedToABoundWithItsSizeAndDigest() {
    byte[] bytes = new byte[20 << 20];
    FailureEvent failure = decode(bytes).failure().orElseThrow();
    assertThat(failure.getOriginal().array()).hasSize(MAX_ORIGINAL);
    assertThat(failure.getOriginalSize()).isEqualTo(bytes.length);
    assertThat(failure.getOriginalSha256()).isEqualTo(Payloads.sha256(bytes));
    assertThat(failure.getOffset()).isEqualTo(17L);
  }

  /** A damaged text of 20 MB is looked at where it is, not in a copy twice as large. */
  @Test
  void aDamagedRecordIsNotCopiedToFindOutThatItIs() {
    byte[] bytes =
        EventCodec.prompts()
            .encode(PromptEvent.newBuilder().setId("a").setPrompt("x".repeat(20 << 20)).build());
    bytes[bytes.length - 1000] = (byte) 0xFF;
    decode(bytes); // loads classes
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    FailureEvent failure = decode(bytes).failure().orElseThrow();
    assertThat(threads.getCurrentThreadAllocatedBytes() - before).isLessThan(1 << 20);
    assertThat(failure.getMessage()).contains("PromptEvent.prompt is not UTF-8");
  }

  @Test
  void aRequestThatWasSentAgainKeepsTheIdThatItsPlaceHadGiven() {
    EventDeserializer<PromptEvent> json =
        new EventDeserializer<>(
            PromptEvent.class, MAX_ORIGINAL, FormatSettings.JSON, List.of("traceparent"));
    ConsumerRecord<byte[], byte[]> record =
        new ConsumerRecord<>("prompts", 3, 17L, null, "{\"prompt\": \"a\"}".getBytes(UTF_8));
    assertThat(json.decode(record).event().orElseThrow().getId()).isEqualTo("prompts-3-17");
    record.headers().add(EventHeaders.ID, "prompts-0-2".getBytes(UTF_8));
    record.headers().add(EventHeaders.RESENT, "1".getBytes(UTF_8));
    record.headers().add("other", new byte[1]);
    PromptEvent again = json.decode(record).event().orElseThrow();
    assertThat(again.getId()).isEqualTo("prompts-0-2");
    assertThat(again.getContext().getHeaders())
        .as("if it fails again, that is known")
        .containsOnlyKeys(EventHeaders.ID, EventHeaders.RESENT);
  }
}
