/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import io.github.flinkdiffusion.connector.format.EventWriter;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;

/** A row as the bytes of an event, written with today's schema. */
final class EventRowSerializer implements SerializationSchema<RowData> {
  private static final long serialVersionUID = 1L;

  private final EventKind kind;
  private final FormatSettings format;
  private final String topic;
  private final RowType columns;

  private transient RowWriter writer;
  private transient Encoder<? extends SpecificRecord> encoder;

  /**
   * @param topic whose schema a registry holds
   * @param columns that {@link EventColumns#requireWritable} has passed
   */
  EventRowSerializer(EventKind kind, FormatSettings format, String topic, RowType columns) {
    this.kind = kind;
    this.format = format;
    this.topic = topic;
    this.columns = columns;
  }

  @Override
  public void open(InitializationContext context) {
    writer = RowWriter.of(kind.schema(), columns);
    encoder = encoder(kind.eventClass());
  }

  /**
   * @throws EventRowException naming the column that does not fit
   */
  @Override
  public byte[] serialize(RowData row) {
    try {
      return encoder.encode(writer.record(row));
    } catch (EventRowException e) {
      throw new EventRowException(
          "Cannot write %s as event '%s': %s".formatted(name(row), kind, e.getMessage()), e);
    }
  }

  private <T extends SpecificRecord> Encoder<T> encoder(Class<T> eventClass) {
    return new Encoder<>(eventClass, format.writer(eventClass, topic));
  }

  private record Encoder<T extends SpecificRecord>(Class<T> eventClass, EventWriter<T> events) {
    byte[] encode(Object record) {
      return events.write(eventClass.cast(record));
    }
  }

  private String name(RowData row) {
    int id = columns.getFieldNames().indexOf("id");
    return id < 0 || row.isNullAt(id) ? "a row" : "the row with id " + row.getString(id);
  }
}
