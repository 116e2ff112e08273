/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaCompatibility.SchemaCompatibilityType;
import org.apache.avro.SchemaParseException;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.annotation.Internal;

/**
 * A format with all that it needs, and what reads and writes it. Travels to the tasks.
 *
 * @param format which
 * @param unknownFields of events that are read, in every format but {@link EventFormat#AVRO}
 * @param avroSchema of {@link EventFormat#PLAIN_AVRO}, as JSON; null for the event's own
 * @param registry null for formats without
 */
@Internal
public record FormatSettings(
    EventFormat format, UnknownFields unknownFields, String avroSchema, RegistrySettings registry)
    implements Serializable {

  /** As it always was: Avro's single-object encoding. */
  public static final FormatSettings AVRO =
      new FormatSettings(EventFormat.AVRO, UnknownFields.REFUSE, null, null);

  /** JSON that is refused where it has an unknown field. */
  public static final FormatSettings JSON =
      new FormatSettings(EventFormat.JSON, UnknownFields.REFUSE, null, null);

  /**
   * @throws IllegalArgumentException when the Avro schema is none, or something is missing
   */
  public FormatSettings {
    if (format.usesRegistry() && registry == null) {
      throw new IllegalArgumentException("The format %s needs a registry".formatted(format));
    }
    if (avroSchema != null) {
      parsed(avroSchema);
    }
  }

  private static Schema parsed(String schema) {
    try {
      return new Schema.Parser().parse(schema);
    } catch (SchemaParseException e) {
      throw new IllegalArgumentException("Invalid Avro schema: " + e.getMessage(), e);
    }
  }

  /** The same for another event: with a schema of its own. */
  public FormatSettings withoutAvroSchema() {
    return new FormatSettings(format, unknownFields, null, registry);
  }

  /**
   * What reads such events. Says of others what they look like, and which option of a DataStream
   * job reads them.
   */
  public <T extends SpecificRecord> EventReader<T> reader(Class<T> eventClass) {
    EventReader<T> reader = readerWithoutHints(eventClass);
    return (value, id) -> {
      try {
        return reader.read(value, id);
      } catch (UndecodableEventException e) {
        Optional<String> hint = LooksLike.sentence(value, this);
        if (hint.isEmpty()) {
          throw e;
        }
        throw new UndecodableEventException(hint.get() + " " + e.getMessage(), e);
      }
    };
  }

  /** As {@link #reader}, without a word of what other records look like. */
  public <T extends SpecificRecord> EventReader<T> readerWithoutHints(Class<T> eventClass) {
    return switch (format) {
      case AVRO -> {
        EventCodec<T> codec = EventCodec.of(eventClass);
        yield (value, id) -> codec.decode(value);
      }
      case JSON -> EventJson.of(eventClass, unknownFields)::read;
      case PLAIN_AVRO -> {
        Schema writer = avroSchema == null ? EventCodec.schemaOf(eventClass) : parsed(avroSchema);
        EventJson<T> rules = EventJson.of(eventClass, unknownFields);
        yield (value, id) -> AvroRecords.read(writer, ByteBuffer.wrap(value), rules, id);
      }
      case REGISTRY_AVRO, REGISTRY_JSON -> new RegistryReader<>(this, eventClass);
    };
  }

  /**
   * What writes such events.
   *
   * @param topic that they are for; it names the schema in a registry
   * @throws IllegalArgumentException when the Avro schema cannot hold the event
   */
  public <T extends SpecificRecord> EventWriter<T> writer(Class<T> eventClass, String topic) {
    EventCodec<T> codec = EventCodec.of(eventClass);
    EventJson<T> json = EventJson.of(eventClass);
    return switch (format) {
      case AVRO -> codec::encode;
      case JSON -> json::write;
      case PLAIN_AVRO ->
          avroSchema == null
              ? event -> codec.encodeBehind(event, 0)
              : projected(codec, parsed(avroSchema));
      case REGISTRY_AVRO -> {
        RegisteredId id =
            new RegisteredId(topic, "AVRO", EventCodec.schemaOf(eventClass).toString());
        yield event -> {
          byte[] framed = codec.encodeBehind(event, registry.framing().headerBytes());
          registry.framing().put(framed, id.get());
          return framed;
        };
      }
      case REGISTRY_JSON -> {
        RegisteredId id = new RegisteredId(topic, "JSON", JsonSchemas.of(eventClass));
        yield event -> {
          byte[] body = json.write(event);
          int header = registry.framing().headerBytes();
          byte[] framed = new byte[header + body.length];
          System.arraycopy(body, 0, framed, header, body.length);
          registry.framing().put(framed, id.get());
          return framed;
        };
      }
    };
  }

  /** Asks for the id when the first event is written, and once. */
  private final class RegisteredId {
    private final String topic;
    private final String type;
    private final String schema;
    private Long id;

    RegisteredId(String topic, String type, String schema) {
      this.topic = topic;
      this.type = type;
      this.schema = schema;
    }

    long get() {
      if (id == null) {
        id = new SchemaRegistry(registry).idOf(topic + "-value", type, schema);
      }
      return id;
    }
  }

  /** Those fields of an event that a given schema has. */
  private static <T extends SpecificRecord> EventWriter<T> projected(
      EventCodec<T> codec, Schema given) {
    Schema own = EventCodec.schemaOf(codec.eventClass());
    var compatibility = SchemaCompatibility.checkReaderWriterCompatibility(given, own);
    if (compatibility.getType() != SchemaCompatibilityType.COMPATIBLE) {
      throw new IllegalArgumentException(
          "The Avro schema %s cannot hold a %s: %s"
              .formatted(
                  given.getFullName(),
                  own.getName(),
                  compatibility.getResult().getIncompatibilities().stream()
                      .map(SchemaCompatibility.Incompatibility::getMessage)
                      .toList()));
    }
    GenericDatumReader<Object> reader = new GenericDatumReader<>(own, given);
    GenericDatumWriter<Object> writer = new GenericDatumWriter<>(given);
    return event -> {
      try {
        byte[] body = codec.encodeBehind(event, 0);
        Object datum = reader.read(null, DecoderFactory.get().binaryDecoder(body, null));
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
        writer.write(datum, encoder);
        encoder.flush();
        return bytes.toByteArray();
      } catch (IOException e) {
        throw new UncheckedIOException(e); // of streams in memory: cannot be
      }
    };
  }

  /** Reads by the id that a record begins with. */
  private static final class RegistryReader<T extends SpecificRecord> implements EventReader<T> {
    private static final int MAX_PARSED = 1_000;

    private final FormatSettings settings;
    private final Framing framing;
    private final SchemaRegistry registry;
    private final EventJson<T> rules;
    private final Map<Long, Schema> parsed =
        new LinkedHashMap<>(16, 0.75f, true) {
          private static final long serialVersionUID = 1L;

          @Override
          protected boolean removeEldestEntry(Map.Entry<Long, Schema> eldest) {
            return size() > MAX_PARSED;
          }
        };

    RegistryReader(FormatSettings settings, Class<T> eventClass) {
      this.settings = settings;
      this.framing = settings.registry.framing();
      this.registry = new SchemaRegistry(settings.registry);
      this.rules = EventJson.of(eventClass, settings.unknownFields);
    }

    @Override
    public T read(byte[] value, String idOfRecord) throws UndecodableEventException {
      if (!framing.fits(value)) {
        throw new UndecodableEventException(
            "%d bytes do not begin with 00 and a schema id of %d bytes, as %s frames them."
                .formatted(value.length, framing.headerBytes() - 1, framing));
      }
      long id = framing.id(value);
      SchemaRegistry.Registered schema =
          registry
              .schema(id)
              .orElseThrow(
                  () ->
                      new UndecodableEventException(
                          "The registry at %s has no schema with id %d."
                              .formatted(settings.registry.url(), id)));
      int header = framing.headerBytes();
      if (settings.format == EventFormat.REGISTRY_JSON) {
        requireType(schema, "JSON", id);
        return rules.read(Arrays.copyOfRange(value, header, value.length), idOfRecord);
      }
      requireType(schema, "AVRO", id);
      return AvroRecords.read(
          parsed(id, schema),
          ByteBuffer.wrap(value, header, value.length - header),
          rules,
          idOfRecord);
    }

    private static void requireType(SchemaRegistry.Registered schema, String type, long id)
        throws UndecodableEventException {
      if (!schema.type().isEmpty() && !schema.type().equals(type)) {
        throw new UndecodableEventException(
            "The schema with id %d is of type %s; %s is expected."
                .formatted(id, schema.type(), type));
      }
      if (schema.hasReferences()) {
        throw new UndecodableEventException(
            "The schema with id %d refers to other schemas; expected one that contains them."
                .formatted(id));
      }
    }

    private Schema parsed(long id, SchemaRegistry.Registered schema)
        throws UndecodableEventException {
      Schema known = parsed.get(id);
      if (known == null) {
        try {
          known = new Schema.Parser().parse(schema.text());
        } catch (SchemaParseException e) {
          throw new UndecodableEventException(
              "The schema with id %d is not a valid Avro schema: %s".formatted(id, e.getMessage()),
              e);
        }
        parsed.put(id, known);
      }
      return known;
    }
  }
}
