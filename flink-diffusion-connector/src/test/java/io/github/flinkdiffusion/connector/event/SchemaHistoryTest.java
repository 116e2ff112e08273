/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.event;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.avro.Schema;
import org.apache.avro.Schema.Field;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaCompatibility.SchemaCompatibilityType;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.avro.specific.SpecificRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The promise to senders: what was written with a released schema can be read for ever. */
class SchemaHistoryTest {

  static List<EventCodec<? extends SpecificRecord>> codecs() {
    return List.of(
        EventCodec.prompts(),
        EventCodec.imageTasks(),
        EventCodec.images(),
        EventCodec.failures(),
        EventCodec.progress(),
        EventCodec.cancellations(),
        EventCodec.models());
  }

  @ParameterizedTest
  @MethodSource("codecs")
  void todaysSchemaIsKeptAsTheLastVersion(EventCodec<?> codec) {
    SchemaHistory history = SchemaHistory.of(codec.eventClass());
    Schema last = history.versions().get(history.versions().size() - 1).schema();
    assertThat(withoutJavaTypes(today(codec)))
        .as(
            "%s.avsc has changed: keep it as %s.v%d.avsc",
            history.eventName(), history.eventName(), history.versions().size() + 1)
        .isEqualTo(withoutJavaTypes(last));
  }

  @ParameterizedTest
  @MethodSource("codecs")
  void todaysSchemaReadsEveryVersion(EventCodec<?> codec) {
    for (SchemaHistory.Version version : SchemaHistory.of(codec.eventClass()).versions()) {
      assertThat(
              SchemaCompatibility.checkReaderWriterCompatibility(today(codec), version.schema())
                  .getType())
          .isEqualTo(SchemaCompatibilityType.COMPATIBLE);
    }
  }

  @ParameterizedTest
  @MethodSource("codecs")
  void everyVersionReadsTodaysSchemaSoThatReadersNeedNotBeUpdatedFirst(EventCodec<?> codec) {
    for (SchemaHistory.Version version : SchemaHistory.of(codec.eventClass()).versions()) {
      assertThat(
              SchemaCompatibility.checkReaderWriterCompatibility(version.schema(), today(codec))
                  .getType())
          .isEqualTo(SchemaCompatibilityType.COMPATIBLE);
    }
  }

  @ParameterizedTest
  @MethodSource("codecs")
  void everyFieldAddedAfterTheFirstVersionHasADefault(EventCodec<?> codec) {
    Set<String> first =
        SchemaHistory.of(codec.eventClass()).versions().get(0).schema().getFields().stream()
            .map(Field::name)
            .collect(Collectors.toSet());
    assertThat(today(codec).getFields())
        .filteredOn(field -> !first.contains(field.name()))
        .allMatch(Field::hasDefaultValue);
  }

  @ParameterizedTest
  @MethodSource("codecs")
  void everyFieldAndEveryTypeHasADoc(EventCodec<?> codec) {
    assertDocumented(today(codec), new HashSet<>());
  }

  private static void assertDocumented(Schema schema, Set<Schema> seen) {
    if (!seen.add(schema)) {
      return;
    }
    switch (schema.getType()) {
      case RECORD -> {
        assertThat(schema.getDoc()).as("doc of %s", schema.getFullName()).isNotBlank();
        for (Field field : schema.getFields()) {
          assertThat(field.doc()).as("doc of %s.%s", schema, field.name()).isNotBlank();
          assertDocumented(field.schema(), seen);
        }
      }
      case ENUM -> assertThat(schema.getDoc()).as("doc of %s", schema.getFullName()).isNotBlank();
      case UNION -> schema.getTypes().forEach(type -> assertDocumented(type, seen));
      case ARRAY -> assertDocumented(schema.getElementType(), seen);
      case MAP -> assertDocumented(schema.getValueType(), seen);
      default -> {}
    }
  }

  @Test
  void bytesOfTheFirstVersionAreReadWithDefaultsForTheRest() throws Exception {
    Schema v1 = SchemaHistory.of(PromptEvent.class).versions().get(0).schema();
    byte[] bytes =
        new BinaryMessageEncoder<>(GenericData.get(), v1)
            .encode(new GenericRecordBuilder(v1).set("id", "old").set("prompt", "a cat").build())
            .array();

    assertThat(EventCodec.prompts().decode(bytes))
        .isEqualTo(PromptEvent.newBuilder().setId("old").setPrompt("a cat").build());
  }

  @Test
  void picturesOfTheFirstVersionKeepTheirBytes() throws Exception {
    Schema v1 = SchemaHistory.of(ImageEvent.class).versions().get(0).schema();
    byte[] bytes =
        new BinaryMessageEncoder<>(GenericData.get(), v1)
            .encode(
                new GenericRecordBuilder(v1)
                    .set("id", "old")
                    .set("image", ByteBuffer.wrap(new byte[] {1, 2, 3}))
                    .set("width", 1)
                    .set("height", 3)
                    .build())
            .array();

    ImageEvent event = EventCodec.images().decode(bytes);
    assertThat(Payloads.inlineBytes(Payloads.image(event))).contains(new byte[] {1, 2, 3});
    assertThat(event.getAudit()).isNull();
  }

  @Test
  void aReasonThatIsNewerThanTheReaderIsUnknownToIt() throws Exception {
    List<SchemaHistory.Version> versions = SchemaHistory.of(FailureEvent.class).versions();
    Schema v1 = versions.get(0).schema();
    byte[] bytes =
        EventCodec.failures()
            .encode(
                FailureEvent.newBuilder()
                    .setReason(FailureReason.TOO_LARGE)
                    .setMessage("too large")
                    .build());
    var read = new BinaryMessageDecoder<GenericRecord>(GenericData.get(), v1);
    read.addSchema(versions.get(versions.size() - 1).schema());
    assertThat(read.decode(bytes).get("reason")).hasToString("UNKNOWN");
  }

  @Test
  void aReaderWithMoreFieldsThanTheWriterFillsInTheirDefaults() throws Exception {
    // What the second version of a schema will meet: today's class, and bytes of a smaller schema.
    Schema smaller =
        new Schema.Parser()
            .parse(
                """
                {"type": "record", "name": "ProgressEvent",
                 "namespace": "io.github.flinkdiffusion.connector.event",
                 "fields": [{"name": "id", "type": "string"}, {"name": "step", "type": "int"},
                            {"name": "totalSteps", "type": "int"}]}
                """);
    SchemaHistory history =
        new SchemaHistory(
            "ProgressEvent",
            List.of(
                new SchemaHistory.Version(smaller),
                new SchemaHistory.Version(ProgressEvent.getClassSchema())));
    byte[] bytes =
        new BinaryMessageEncoder<>(GenericData.get(), smaller)
            .encode(
                new GenericRecordBuilder(smaller)
                    .set("id", "old")
                    .set("step", 1)
                    .set("totalSteps", 2)
                    .build())
            .array();

    assertThat(ProgressEvent.createDecoder(history).decode(bytes))
        .isEqualTo(ProgressEvent.newBuilder().setId("old").setStep(1).setTotalSteps(2).build());
    assertThat(history.describe()).startsWith("version 1 (").contains(", version 2 (");
  }

  private static Schema today(EventCodec<?> codec) {
    return org.apache.avro.specific.SpecificData.get().getSchema(codec.eventClass());
  }

  /** The generated class's schema names Java's String, which says nothing to other readers. */
  private static Schema withoutJavaTypes(Schema schema) {
    return new Schema.Parser()
        .parse(
            schema
                .toString()
                .replace("{\"type\":\"string\",\"avro.java.string\":\"String\"}", "\"string\"")
                .replace(",\"avro.java.string\":\"String\"", ""));
  }
}
