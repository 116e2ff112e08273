/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Keeps docs/schemas equal to the Avro schemas. After a change of these, write them anew: {@code
 * mvn test -pl flink-diffusion-connector -Dtest=JsonSchemasTest -Ddocs.write=true}.
 */
class JsonSchemasTest {
  private static final Path FOLDER = Path.of("../docs/schemas");

  @ParameterizedTest
  @ValueSource(
      classes = {
        PromptEvent.class,
        ImageTaskEvent.class,
        ImageEvent.class,
        TextEvent.class,
        FailureEvent.class,
        ProgressEvent.class,
        CancelEvent.class,
        ModelEvent.class,
        VoteEvent.class
      })
  void theDocumentedSchemaIsWhatIsRead(Class<?> eventClass) throws IOException {
    Path document = FOLDER.resolve(eventClass.getSimpleName() + ".schema.json");
    String expected = JsonSchemas.of(eventClass);
    if (Boolean.getBoolean("docs.write")) {
      Files.createDirectories(FOLDER);
      Files.writeString(document, expected);
    }
    assertThat(document).hasContent(expected);
  }

  @Test
  void aPromptIsAllThatASenderMustGive() throws IOException {
    JsonNode schema = new ObjectMapper().readTree(JsonSchemas.of(PromptEvent.class));
    assertThat(schema.get("required")).hasToString("[\"prompt\"]");
    assertThat(schema.get("additionalProperties").asBoolean()).isFalse();
    assertThat(schema.at("/properties/steps/type")).hasToString("[\"integer\",\"null\"]");
    assertThat(schema.at("/properties/origin").isMissingNode()).isTrue();
  }
}
