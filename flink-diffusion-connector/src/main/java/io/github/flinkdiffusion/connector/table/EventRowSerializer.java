/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import io.github.flinkdiffusion.connector.event.EventCodec;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;

/** A row as the bytes of an event, written with today's schema. */
final class EventRowSerializer implements SerializationSchema<RowData> {
  private static final long serialVersionUID = 1L;

  private final EventKind kind;
  private final RowType columns;

  private transient RowWriter writer;

  /**
   * @param columns that {@link EventColumns#requireWritable} has passed
   */
  EventRowSerializer(EventKind kind, RowType columns) {
    this.kind = kind;
    this.columns = columns;
  }

  @Override
  public void open(InitializationContext context) {
    writer = RowWriter.of(kind.schema(), columns);
  }

  /**
   * @throws EventRowException naming the column that does not fit
   */
  @Override
  public byte[] serialize(RowData row) {
    try {
      return encode(kind.codec(), row);
    } catch (EventRowException e) {
      throw new EventRowException(
          "Cannot write %s as event '%s': %s".formatted(name(row), kind, e.getMessage()), e);
    }
  }

  private <T extends SpecificRecord> byte[] encode(EventCodec<T> codec, RowData row) {
    return codec.encode(codec.eventClass().cast(writer.record(row)));
  }

  private String name(RowData row) {
    int id = columns.getFieldNames().indexOf("id");
    return id < 0 || row.isNullAt(id) ? "a row" : "the row with id " + row.getString(id);
  }
}
