/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.IndexedRecord;
import org.apache.avro.specific.SpecificData;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.MapType;
import org.apache.flink.table.types.logical.RowType;

/** A row as a record of Avro; a NULL, or a column that there is not, is the field's default. */
final class RowWriter {
  private static final SpecificData DATA = EventKind.records();

  /** A value in Flink's internal representation, never null, as Avro has it. */
  private interface Value {
    Object of(Object value);
  }

  private record Column(EventColumn known, RowData.FieldGetter getter, Value value) {}

  private final Schema schema;
  private final String where;
  private final List<Column> columns;

  private RowWriter(Schema schema, String where, List<Column> columns) {
    this.schema = schema;
    this.where = where;
    this.columns = columns;
  }

  /**
   * @param row some of the record's columns, those without a default among them
   */
  static RowWriter of(Schema schema, RowType row) {
    return of(schema, "", row);
  }

  private static RowWriter of(Schema schema, String where, RowType row) {
    List<Column> columns = new ArrayList<>();
    for (EventColumn known : EventColumn.of(schema)) {
      int position = row.getFieldNames().indexOf(known.name());
      if (position >= 0) {
        LogicalType type = row.getTypeAt(position);
        columns.add(
            new Column(
                known,
                RowData.createFieldGetter(type, position),
                value(known.schema(), where + known.name(), type)));
      }
    }
    return new RowWriter(schema, where, columns);
  }

  /**
   * @throws EventRowException naming the column that does not fit
   */
  IndexedRecord record(RowData row) {
    IndexedRecord record = (IndexedRecord) DATA.newRecord(null, schema);
    boolean[] given = new boolean[schema.getFields().size()];
    for (Column column : columns) {
      Object value = column.getter().getFieldOrNull(row);
      if (value == null) {
        continue;
      }
      int position = column.known().field().pos();
      if (given[position]) {
        throw new EventRowException(
            "%s and %s both have a value; give one of them."
                .formatted(where + column.known().field().name(), where + column.known().name()));
      }
      given[position] = true;
      record.put(position, column.value().of(value));
    }
    for (Schema.Field field : schema.getFields()) {
      if (!given[field.pos()]) {
        record.put(field.pos(), defaultOf(field));
      }
    }
    return record;
  }

  private Object defaultOf(Schema.Field field) {
    if (!field.hasDefaultValue()) {
      throw new EventRowException(
          "%s is NULL; it must have a value."
              .formatted(
                  String.join(
                      " or ",
                      columns.stream()
                          .map(Column::known)
                          .filter(known -> known.field().pos() == field.pos())
                          .map(known -> where + known.name())
                          .toList())));
    }
    return DATA.getDefaultValue(field);
  }

  private static Value value(Schema schema, String where, LogicalType type) {
    return switch (schema.getType()) {
      case STRING -> Object::toString;
      case ENUM -> symbol -> symbol(symbol.toString(), schema, where);
      case BYTES -> bytes -> ByteBuffer.wrap((byte[]) bytes);
      case MAP -> {
        MapType map = (MapType) type;
        ArrayData.ElementGetter keys = ArrayData.createElementGetter(map.getKeyType());
        ArrayData.ElementGetter values = ArrayData.createElementGetter(map.getValueType());
        Value each = value(schema.getValueType(), where, map.getValueType());
        yield entries -> map((MapData) entries, keys, values, each, where);
      }
      case ARRAY -> {
        LogicalType element = ((ArrayType) type).getElementType();
        ArrayData.ElementGetter getter = ArrayData.createElementGetter(element);
        Value each = value(schema.getElementType(), where, element);
        yield items -> list((ArrayData) items, getter, each, where);
      }
      case RECORD -> {
        RowWriter writer = of(schema, where + ".", (RowType) type);
        yield row -> writer.record((RowData) row);
      }
      default -> value -> value;
    };
  }

  private static Object symbol(String symbol, Schema schema, String where) {
    if (!schema.hasEnumSymbol(symbol)) {
      throw new EventRowException(
          "%s is '%s'; it must be one of %s.".formatted(where, symbol, schema.getEnumSymbols()));
    }
    return DATA.createEnum(symbol, schema);
  }

  private static Map<String, Object> map(
      MapData map,
      ArrayData.ElementGetter keys,
      ArrayData.ElementGetter values,
      Value value,
      String where) {
    Map<String, Object> converted = new HashMap<>();
    for (int i = 0; i < map.size(); i++) {
      Object key = notNull(keys.getElementOrNull(map.keyArray(), i), where);
      Object held = notNull(values.getElementOrNull(map.valueArray(), i), where);
      converted.put(key.toString(), value.of(held));
    }
    return converted;
  }

  private static List<Object> list(
      ArrayData items, ArrayData.ElementGetter getter, Value value, String where) {
    List<Object> converted = new ArrayList<>();
    for (int i = 0; i < items.size(); i++) {
      converted.add(value.of(notNull(getter.getElementOrNull(items, i), where)));
    }
    return converted;
  }

  private static Object notNull(Object element, String where) {
    if (element == null) {
      throw new EventRowException(where + " has a NULL in it; leave that entry out.");
    }
    return element;
  }
}
