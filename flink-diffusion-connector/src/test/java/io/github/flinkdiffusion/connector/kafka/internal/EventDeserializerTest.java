package io.github.flinkdiffusion.connector.kafka.internal;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.kafka.Decoded;
import java.nio.ByteBuffer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.Test;

class EventDeserializerTest {
  private final EventDeserializer<PromptEvent> deserializer =
      new EventDeserializer<>(PromptEvent.class);

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
}
