/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.avro.Schema;
import org.apache.avro.generic.IndexedRecord;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;

/**
 * A record of Avro as a row.
 *
 * <p>Not by flink-avro's converters, which know neither fields that are one of two things nor rows
 * with some of a record's fields, and whose Avro is not the one of these events in Flink's SQL jar.
 */
final class RowReader {
  private final List<Function<IndexedRecord, Object>> fields;

  private RowReader(List<Function<IndexedRecord, Object>> fields) {
    this.fields = fields;
  }

  /**
   * @param columns some of the record's, in any order
   */
  static RowReader of(Schema record, RowType columns) {
    List<EventColumn> known = EventColumn.of(record);
    return new RowReader(
        columns.getFields().stream()
            .map(
                column ->
                    field(
                        known.stream()
                            .filter(each -> each.name().equals(column.getName()))
                            .findFirst()
                            .orElseThrow(),
                        column.getType()))
            .toList());
  }

  RowData row(IndexedRecord record) {
    GenericRowData row = new GenericRowData(fields.size());
    for (int i = 0; i < fields.size(); i++) {
      row.setField(i, fields.get(i).apply(record));
    }
    return row;
  }

  private static Function<IndexedRecord, Object> field(EventColumn column, LogicalType type) {
    int position = column.field().pos();
    boolean wantsRecord = column.schema().getType() == Schema.Type.RECORD;
    Function<Object, Object> value = value(column.schema(), type);
    return record -> {
      Object held = record.get(position);
      boolean absent =
          held == null || column.choice() && wantsRecord != held instanceof IndexedRecord;
      return absent ? null : value.apply(held);
    };
  }

  private static Function<Object, Object> value(Schema schema, LogicalType type) {
    return switch (schema.getType()) {
      case STRING, ENUM -> text -> StringData.fromString(text.toString());
      case BYTES -> bytes -> copy((ByteBuffer) bytes);
      case MAP -> {
        Function<Object, Object> each = value(schema.getValueType(), type.getChildren().get(1));
        yield map -> map((Map<?, ?>) map, each);
      }
      case ARRAY -> {
        Function<Object, Object> each =
            value(schema.getElementType(), ((ArrayType) type).getElementType());
        yield items -> new GenericArrayData(((Collection<?>) items).stream().map(each).toArray());
      }
      case RECORD -> {
        RowReader reader = of(schema, (RowType) type);
        yield record -> reader.row((IndexedRecord) record);
      }
      default -> Function.identity();
    };
  }

  private static GenericMapData map(Map<?, ?> map, Function<Object, Object> value) {
    Map<Object, Object> converted = new HashMap<>();
    map.forEach(
        (key, held) -> converted.put(StringData.fromString(key.toString()), value.apply(held)));
    return new GenericMapData(converted);
  }

  private static byte[] copy(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return bytes;
  }
}
