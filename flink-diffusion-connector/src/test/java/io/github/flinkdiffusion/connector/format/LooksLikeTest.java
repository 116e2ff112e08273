/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class LooksLikeTest {
  private static final PromptEvent PROMPT =
      PromptEvent.newBuilder().setId("a").setPrompt("b").build();

  private static String message(byte[] value, FormatSettings settings) {
    try {
      settings.reader(PromptEvent.class).read(value, "a");
      throw new AssertionError("read");
    } catch (io.github.flinkdiffusion.connector.event.UndecodableEventException e) {
      return e.getMessage();
    }
  }

  @Test
  void theMessageNamesTheFormatThatTheBytesSeemToBeIn() {
    FormatSettings avro = FormatSettings.AVRO;
    assertThat(message(new byte[] {0, 0, 0, 0, 7, 2, 'a'}, avro))
        .startsWith(
            "This looks like Confluent-framed Avro, schema id 7. Set diffusion.kafka.source.format to 'registry-avro' and diffusion.kafka.registry.url to the registry to read it.");
    assertThat(message("\0\0\0\0\u0008 {\"prompt\": \"a\"}".getBytes(UTF_8), avro))
        .startsWith(
            "This looks like Confluent-framed JSON, schema id 8. Set diffusion.kafka.source.format to 'registry-json'");
    assertThat(message(new byte[] {0, 0, 0, 0, 0, 0, 0, 0, 9, 2, 'a'}, avro))
        .startsWith("This looks like Apicurio-framed Avro, schema id 9.")
        .contains("diffusion.kafka.registry.framing to 'apicurio'");
    assertThat(message("{\"prompt\": \"a\"}".getBytes(UTF_8), avro))
        .startsWith(
            "This looks like JSON. Set diffusion.kafka.source.format to 'json' to read it.");
    assertThat(message("a red fox".getBytes(UTF_8), avro))
        .startsWith("This looks like text; in JSON, a prompt is {\"prompt\": \"...\"}.");
    assertThat(message(EventCodec.prompts().encode(PROMPT), FormatSettings.JSON))
        .startsWith(
            "This looks like Avro's single-object encoding. Set diffusion.kafka.source.format to 'avro'");
    assertThat(message(new byte[] {'O', 'b', 'j', 1, 4}, FormatSettings.JSON))
        .startsWith("This looks like a file of Avro records.");
    assertThat(message(new byte[] {0x1F, (byte) 0x8B, 8, 0}, FormatSettings.JSON))
        .startsWith("This looks like gzip.");
  }

  @Test
  void ofBytesInTheRightFormatOnlyWhatIsWrongIsSaid() {
    assertThat(message("{\"prompt\": 1}".getBytes(UTF_8), FormatSettings.JSON))
        .startsWith("PromptEvent.prompt is 1");
    assertThat(
            message(
                EventCodec.cancellations().encode(new CancelEvent("a", "")), FormatSettings.AVRO))
        .startsWith("The schema fingerprint");
  }

  @Test
  void anotherFramingOfTheSameRegistryIsRecognizedToo() {
    FormatSettings settings =
        new FormatSettings(
            EventFormat.REGISTRY_AVRO,
            UnknownFields.REFUSE,
            null,
            new RegistrySettings(
                "http://localhost:1", Framing.CONFLUENT, true, Duration.ofSeconds(1), null, null));
    assertThat(message(new byte[] {0, 0, 0, 0, 0, 0, 0, 0, 9, 2, 'a'}, settings))
        .contains(
            "Set diffusion.kafka.source.format to 'registry-avro', diffusion.kafka.registry.framing to 'apicurio' to read it.");
  }

  @Test
  void plainAvroIsReadAndWrittenWithAGivenSchema() throws Exception {
    String mine =
        """
        {"type": "record", "name": "PromptEvent", "fields": [
          {"name": "prompt", "type": "string"}, {"name": "id", "type": "string"}]}
        """;
    FormatSettings plain =
        new FormatSettings(EventFormat.PLAIN_AVRO, UnknownFields.REFUSE, mine, null);
    byte[] value = plain.writer(PromptEvent.class, "out").write(PROMPT);
    assertThat(value).containsExactly(2, 'b', 2, 'a');
    assertThat(plain.reader(PromptEvent.class).read(value, null)).isEqualTo(PROMPT);
    FormatSettings own =
        new FormatSettings(EventFormat.PLAIN_AVRO, UnknownFields.REFUSE, null, null);
    assertThat(
            own.reader(PromptEvent.class)
                .read(own.writer(PromptEvent.class, "out").write(PROMPT), null))
        .isEqualTo(PROMPT);
    assertThatThrownBy(() -> plain.reader(PromptEvent.class).read(new byte[] {2, 'b', 2}, null))
        .hasMessageContaining("id announces 1 bytes where 0 are left");
    assertThatThrownBy(
            () ->
                new FormatSettings(
                        EventFormat.PLAIN_AVRO,
                        UnknownFields.REFUSE,
                        mine.replace("\"prompt\"", "\"caption\""),
                        null)
                    .writer(PromptEvent.class, "out"))
        .hasMessageContaining("cannot hold a PromptEvent");
  }
}
