/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.AuditRecord;
import io.github.flinkdiffusion.connector.event.Box;
import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.ModelEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.event.Region;
import io.github.flinkdiffusion.connector.event.Regions;
import io.github.flinkdiffusion.connector.event.TextEvent;
import io.github.flinkdiffusion.connector.event.VoteChoice;
import io.github.flinkdiffusion.connector.event.VoteCriterion;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import io.github.flinkdiffusion.connector.event.VoteSubject;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.runtime.throwable.ThrowableClassifier;
import org.apache.flink.runtime.throwable.ThrowableType;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.util.SimpleUserCodeClassLoader;
import org.apache.flink.util.UserCodeClassLoader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Events to rows and rows to events, without a cluster. */
class EventRowsTest {
  private static final PayloadReference REFERENCE =
      new PayloadReference("s3://bucket/1f/1f82", "1f82".repeat(16), 1L << 33);

  private record Sample(EventKind kind, SpecificRecord event) {}

  static List<Sample> samples() {
    return List.of(
        new Sample(
            EventKind.PROMPT,
            PromptEvent.newBuilder()
                .setId("order-17")
                .setPrompt("ein Leuchtturm in der Dämmerung 灯台")
                .setSeed(-7L)
                .setSteps(30)
                .setGuidanceScale(7.5)
                .setDeadline(1_700_000_000_000L)
                .setOrigin(new RecordPosition("prompts", 3, 1L << 40))
                .setAttributes(Map.of("tenant", "a", "list", ""))
                .setImages(
                    Map.of(
                        "controlImage",
                        Payloads.inline(new byte[] {4, 5}, "image/png"),
                        "ipAdapterImage",
                        Payloads.stored(REFERENCE, "")))
                .build()),
        new Sample(
            EventKind.IMAGE_TASK,
            ImageTaskEvent.newBuilder()
                .setId("scene-17")
                .setImage(Payloads.inline(new byte[] {4, 5}, "image/tiff"))
                .setMask(Payloads.stored(REFERENCE, ""))
                .setStrength(0.5)
                .build()),
        new Sample(
            EventKind.IMAGE,
            ImageEvent.newBuilder()
                .setId("scene-17")
                .setImage(ByteBuffer.wrap(new byte[0]))
                .setImageReference(REFERENCE)
                .setWidth(64)
                .setHeight(32)
                .setPromptTruncated(true)
                .setRegions(
                    new Regions(
                        "EPSG:32633",
                        List.of(
                            new Region(
                                "roof", 0.5, 12L, 3.0, "m2", new Box(1.0, 2.0, 3.0, 4.0), null),
                            new Region(
                                "2", null, 1L, null, null, new Box(0.0, 0.0, 1.0, 1.0), "{}"))))
                .setAudit(
                    new AuditRecord(
                        "m",
                        "d",
                        "super-resolution",
                        "DDIMScheduler",
                        4,
                        7L,
                        Map.of("eta", "0.0"),
                        Map.of(),
                        "1"))
                .build()),
        new Sample(
            EventKind.TEXT,
            TextEvent.newBuilder()
                .setId("a")
                .setText("a red heart")
                .setTokens(3)
                .setScores(Map.of("heart", 0.75))
                .build()),
        new Sample(
            EventKind.FAILURE,
            FailureEvent.newBuilder()
                .setReason(FailureReason.TOO_LARGE)
                .setMessage("too large")
                .setOriginal(ByteBuffer.wrap(new byte[] {9}))
                .build()),
        new Sample(
            EventKind.PROGRESS,
            ProgressEvent.newBuilder()
                .setId("a")
                .setStep(1)
                .setTotalSteps(2)
                .setPreview(ByteBuffer.wrap(new byte[] {1}))
                .build()),
        new Sample(EventKind.CANCEL, CancelEvent.newBuilder().setId("a").setReason("paid").build()),
        new Sample(
            EventKind.MODEL, ModelEvent.newBuilder().setId("a").setFolder("/models/v2").build()),
        new Sample(
            EventKind.VOTE,
            VoteEvent.newBuilder()
                .setId("v")
                .setCriterion(VoteCriterion.APPEAL)
                .setChoice(VoteChoice.FIRST)
                .setFirst(new VoteSubject(false, "a", "d", "sd", "m", 0, 17L))
                .setSecond(new VoteSubject(true, "dog.jpg", "e", "", "", null, null))
                .build()));
  }

  @ParameterizedTest
  @MethodSource("samples")
  void anEventIsARowIsTheEvent(Sample sample) throws Exception {
    RowType all = (RowType) type(sample.kind().schema()).getLogicalType();
    EventColumns.requireReadable(sample.kind(), all);
    EventColumns.requireWritable(sample.kind(), all);
    RowData row = reader(sample.kind(), all).deserialize(encode(sample.event()));
    byte[] again = writer(sample.kind(), all).serialize(row);
    assertThat(EventCodec.of(sample.event().getClass()).decode(again)).isEqualTo(sample.event());
  }

  @Test
  void someColumnsInAnyOrderAreEnoughToRead() throws Exception {
    RowType some =
        row(
            DataTypes.FIELD("attributes", DataTypes.MAP(DataTypes.STRING(), DataTypes.STRING())),
            DataTypes.FIELD("origin", DataTypes.ROW(DataTypes.FIELD("offset", DataTypes.BIGINT()))),
            DataTypes.FIELD("negative_prompt", DataTypes.STRING().notNull()));
    RowData row = read(EventKind.PROMPT, some, encode(samples().get(0).event()));
    assertThat(row.getArity()).isEqualTo(3);
    assertThat(row.getMap(0).size()).isEqualTo(2);
    assertThat(row.getRow(1, 1).getLong(0)).isEqualTo(1L << 40);
    assertThat(row.getString(2)).hasToString("");
  }

  @Test
  void aPayloadIsBytesOrAReference() throws Exception {
    RowType task = row(payload("image"), payload("mask"));
    RowData row = read(EventKind.IMAGE_TASK, task, encode(samples().get(1).event()));
    assertThat(row.getRow(0, 3).getBinary(0)).containsExactly(4, 5);
    assertThat(row.getRow(0, 3).isNullAt(1)).isTrue();
    assertThat(row.getRow(1, 3).isNullAt(0)).isTrue();
    assertThat(row.getRow(1, 3).getRow(1, 3).getLong(2)).isEqualTo(1L << 33);
  }

  private static DataTypes.Field payload(String name) {
    return DataTypes.FIELD(name, type(Payload.getClassSchema()));
  }

  @Test
  void whatIsNotGivenIsTheDefault() throws Exception {
    RowType columns =
        row(
            DataTypes.FIELD("prompt", DataTypes.STRING()),
            DataTypes.FIELD("negative_prompt", DataTypes.STRING()),
            DataTypes.FIELD("id", DataTypes.STRING()));
    EventColumns.requireWritable(EventKind.PROMPT, columns);
    byte[] written =
        writer(EventKind.PROMPT, columns)
            .serialize(
                GenericRowData.of(
                    StringData.fromString("a red apple"), null, StringData.fromString("p1")));
    assertThat(EventCodec.prompts().decode(written))
        .isEqualTo(PromptEvent.newBuilder().setId("p1").setPrompt("a red apple").build());
  }

  @Test
  void anOlderSendersEventHasTodaysColumns() throws Exception {
    Schema old;
    try (InputStream in = PromptEvent.class.getResourceAsStream("PromptEvent.v1.avsc")) {
      old = new Schema.Parser().parse(in);
    }
    assertThat(old.getField("deadline")).isNull();
    GenericRecord sent =
        new GenericRecordBuilder(old).set("id", "p1").set("prompt", "a red apple").build();
    ByteBuffer bytes = new BinaryMessageEncoder<>(GenericData.get(), old).encode(sent);
    byte[] value = new byte[bytes.remaining()];
    bytes.get(value);
    RowType columns =
        row(
            DataTypes.FIELD("deadline", DataTypes.BIGINT()),
            DataTypes.FIELD("prompt", DataTypes.STRING()),
            DataTypes.FIELD("parameters", DataTypes.MAP(DataTypes.STRING(), DataTypes.STRING())));
    RowData row = read(EventKind.PROMPT, columns, value);
    assertThat(row.isNullAt(0)).isTrue();
    assertThat(row.getString(1)).hasToString("a red apple");
    assertThat(row.getMap(2).size()).isZero();
  }

  @Test
  void aRowThatIsNoEventSaysWhichColumnIsNot() {
    RowType prompt =
        row(
            DataTypes.FIELD("id", DataTypes.STRING()),
            DataTypes.FIELD("prompt", DataTypes.STRING()),
            DataTypes.FIELD("attributes", DataTypes.MAP(DataTypes.STRING(), DataTypes.STRING())));
    StringData id = StringData.fromString("p1");
    assertThatThrownBy(
            () -> writer(EventKind.PROMPT, prompt).serialize(GenericRowData.of(id, null, null)))
        .isInstanceOf(EventRowException.class)
        .satisfies(EventRowsTest::isFinal)
        .hasMessage(
            "Cannot write the row with id p1 as event 'prompt': prompt is NULL; it must have a"
                + " value.");
    GenericMapData holes = new GenericMapData(Collections.singletonMap(id, null));
    assertThatThrownBy(
            () -> writer(EventKind.PROMPT, prompt).serialize(GenericRowData.of(id, id, holes)))
        .hasMessageContaining("attributes has a NULL in it");

    RowType failure =
        row(
            DataTypes.FIELD("reason", DataTypes.STRING()),
            DataTypes.FIELD("message", DataTypes.STRING()));
    assertThatThrownBy(
            () -> writer(EventKind.FAILURE, failure).serialize(GenericRowData.of(id, id)))
        .hasMessageContaining(
            "Cannot write a row as event 'failure': reason is 'p1'; it must be one of [UNKNOWN, ");

    RowType task = row(DataTypes.FIELD("id", DataTypes.STRING()), payload("image"));
    assertThatThrownBy(
            () ->
                writer(EventKind.IMAGE_TASK, task)
                    .serialize(GenericRowData.of(id, GenericRowData.of(null, null, null))))
        .hasMessageContaining("image.content or image.reference is NULL; it must have a value.");
    assertThatThrownBy(
            () ->
                writer(EventKind.IMAGE_TASK, task)
                    .serialize(
                        GenericRowData.of(
                            id,
                            GenericRowData.of(new byte[1], GenericRowData.of(id, id, 1L), null))))
        .hasMessageContaining("image.content and image.reference both have a value");
  }

  /** Flink does not restart the job: the next attempt would meet the same row. */
  private static void isFinal(Throwable failure) {
    assertThat(ThrowableClassifier.getThrowableType(failure))
        .isEqualTo(ThrowableType.NonRecoverableError);
  }

  @Test
  void bytesThatAreNoEventFailOrAreLeftOut() throws Exception {
    RowType columns = row(DataTypes.FIELD("id", DataTypes.STRING()));
    byte[] noEvent = {1, 2, 3};
    assertThatThrownBy(() -> reader(EventKind.PROMPT, columns).deserialize(noEvent))
        .isInstanceOf(IOException.class)
        .satisfies(EventRowsTest::isFinal)
        .hasMessageContaining("Cannot read a record as event 'prompt': 3 bytes that start with")
        .hasMessageContaining("'diffusion-avro.ignore-parse-errors' = 'true'");
    EventRowDeserializer ignoring =
        new EventRowDeserializer(EventKind.PROMPT, FormatSettings.AVRO, columns, true, null);
    ignoring.open(OPENING);
    assertThat(ignoring.deserialize(noEvent)).isNull();
    assertThat(ignoring.deserialize(null)).isNull();
    assertThat(ignoring.deserialize(encode(samples().get(0).event()))).isNotNull();
  }

  @Test
  void aColumnThatTheEventHasNotOrHasOtherwiseIsRefused() {
    refused(
        row(DataTypes.FIELD("negativePrompt", DataTypes.STRING())),
        "Column 'negativePrompt' is not a field of the event 'prompt'; columns may be id STRING,"
            + " prompt STRING, negative_prompt STRING, seed BIGINT");
    refused(
        row(DataTypes.FIELD("seed", DataTypes.INT())),
        "Column 'seed' of the event 'prompt' is INT; it must be BIGINT.");
    refused(
        row(DataTypes.FIELD("id", DataTypes.VARCHAR(20))),
        "Column 'id' of the event 'prompt' is VARCHAR(20); it must be STRING.");
    refused(
        row(DataTypes.FIELD("attributes", DataTypes.MAP(DataTypes.STRING(), DataTypes.INT()))),
        "Column 'attributes (values)' of the event 'prompt' is INT; it must be STRING.");
    refused(
        row(
            DataTypes.FIELD(
                "origin", DataTypes.ROW(DataTypes.FIELD("offset", DataTypes.STRING())))),
        "Column 'origin.offset' of the event 'prompt' is STRING; it must be BIGINT.");
    refused(
        row(DataTypes.FIELD("origin", DataTypes.ROW(DataTypes.FIELD("place", DataTypes.INT())))),
        "Column 'origin.place' is not a field of the event 'prompt'; fields of origin may be topic"
            + " STRING");
    refused(
        row(DataTypes.FIELD("seed", DataTypes.BIGINT().notNull())),
        "Column 'seed' is NOT NULL, but the event 'prompt' may have no value there; declare it"
            + " BIGINT.");
  }

  private static void refused(RowType columns, String sentence) {
    assertThatThrownBy(() -> EventColumns.requireReadable(EventKind.PROMPT, columns))
        .isInstanceOf(ValidationException.class)
        .hasMessageContaining(sentence);
  }

  @Test
  void aTableThatIsWrittenToNeedsWhatEveryEventHas() {
    assertThatThrownBy(
            () ->
                EventColumns.requireWritable(
                    EventKind.PROMPT, row(DataTypes.FIELD("id", DataTypes.STRING()))))
        .hasMessage(
            "The table is written to, but has no column 'prompt', which every event 'prompt' has;"
                + " add it as STRING.");
    assertThatThrownBy(
            () ->
                EventColumns.requireWritable(
                    EventKind.IMAGE_TASK,
                    row(
                        DataTypes.FIELD("id", DataTypes.STRING()),
                        DataTypes.FIELD(
                            "image",
                            DataTypes.ROW(DataTypes.FIELD("media_type", DataTypes.STRING()))))))
        .hasMessageContaining("has no column 'image.content'");
    assertThatThrownBy(
            () ->
                EventColumns.requireWritable(
                    EventKind.PROMPT,
                    row(
                        DataTypes.FIELD("id", DataTypes.STRING()),
                        DataTypes.FIELD("prompt", DataTypes.STRING()),
                        DataTypes.FIELD(
                            "images",
                            DataTypes.MAP(
                                DataTypes.STRING(),
                                DataTypes.ROW(
                                    DataTypes.FIELD("media_type", DataTypes.STRING())))))))
        .hasMessageContaining("has no column 'images.content'");
    EventColumns.requireWritable(
        EventKind.IMAGE_TASK,
        row(
            DataTypes.FIELD("id", DataTypes.STRING()),
            DataTypes.FIELD(
                "image", DataTypes.ROW(DataTypes.FIELD("content", DataTypes.BYTES())))));
  }

  private static RowType row(DataTypes.Field... fields) {
    return (RowType) DataTypes.ROW(fields).getLogicalType();
  }

  /** As {@link EventColumns#sqlType} says it, without a parser. */
  private static DataType type(Schema schema) {
    return switch (schema.getType()) {
      case STRING, ENUM -> DataTypes.STRING();
      case BYTES -> DataTypes.BYTES();
      case INT -> DataTypes.INT();
      case LONG -> DataTypes.BIGINT();
      case DOUBLE -> DataTypes.DOUBLE();
      case BOOLEAN -> DataTypes.BOOLEAN();
      case MAP -> DataTypes.MAP(DataTypes.STRING(), type(schema.getValueType()));
      case ARRAY -> DataTypes.ARRAY(type(schema.getElementType()));
      case RECORD ->
          DataTypes.ROW(
              EventColumn.of(schema).stream()
                  .map(column -> DataTypes.FIELD(column.name(), type(column.schema())))
                  .toArray(DataTypes.Field[]::new));
      default -> throw new IllegalArgumentException(schema.toString());
    };
  }

  @SuppressWarnings("unchecked") // the codec is that of the event's own class
  private static byte[] encode(SpecificRecord event) {
    return ((EventCodec<SpecificRecord>) EventCodec.of(event.getClass())).encode(event);
  }

  private static RowData read(EventKind kind, RowType columns, byte[] bytes) throws Exception {
    EventColumns.requireReadable(kind, columns);
    return reader(kind, columns).deserialize(bytes);
  }

  private static EventRowDeserializer reader(EventKind kind, RowType columns) {
    EventRowDeserializer reader =
        new EventRowDeserializer(kind, FormatSettings.AVRO, columns, false, null);
    reader.open(OPENING);
    return reader;
  }

  private static EventRowSerializer writer(EventKind kind, RowType columns) {
    EventRowSerializer writer = new EventRowSerializer(kind, FormatSettings.AVRO, "", columns);
    writer.open(OPENING);
    return writer;
  }

  private static final Opening OPENING = new Opening();

  private static final class Opening
      implements DeserializationSchema.InitializationContext,
          SerializationSchema.InitializationContext {
    @Override
    public MetricGroup getMetricGroup() {
      return new UnregisteredMetricsGroup();
    }

    @Override
    public UserCodeClassLoader getUserCodeClassLoader() {
      return SimpleUserCodeClassLoader.create(EventRowsTest.class.getClassLoader());
    }
  }
}
