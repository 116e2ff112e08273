/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.avro.Schema;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.MapType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.VarBinaryType;
import org.apache.flink.table.types.logical.VarCharType;

/** Holds a table's columns against an event's fields. A ROW may have some of its fields, too. */
final class EventColumns {
  private EventColumns() {}

  /**
   * @throws ValidationException for a column that the event has not, or has in another type
   */
  static void requireReadable(EventKind kind, RowType row) {
    for (RowType.RowField column : row.getFields()) {
      EventColumn known = find(kind, kind.schema(), "", column.getName());
      requireType(kind, column.getName(), known.schema(), column.getType());
      requireNullable(kind, column.getName(), known, column.getType());
    }
  }

  /**
   * @throws ValidationException as {@link #requireReadable}, and for a column that is missing
   */
  static void requireWritable(EventKind kind, RowType row) {
    for (RowType.RowField column : row.getFields()) {
      EventColumn known = find(kind, kind.schema(), "", column.getName());
      requireType(kind, column.getName(), known.schema(), column.getType());
    }
    requireComplete(kind, "", kind.schema(), row);
  }

  private static EventColumn find(EventKind kind, Schema record, String where, String name) {
    List<EventColumn> all = EventColumn.of(record);
    return all.stream()
        .filter(each -> each.name().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new ValidationException(
                    "Column '%s' is not a field of the event '%s'; %s may be %s."
                        .formatted(
                            where + name,
                            kind,
                            where.isEmpty()
                                ? "columns"
                                : "fields of " + where.substring(0, where.length() - 1),
                            all.stream()
                                .map(each -> each.name() + " " + sqlType(each.schema()))
                                .collect(Collectors.joining(", ")))));
  }

  private static void requireType(EventKind kind, String where, Schema schema, LogicalType type) {
    boolean fits =
        switch (schema.getType()) {
          case STRING, ENUM ->
              type.is(LogicalTypeRoot.VARCHAR)
                  && ((VarCharType) type).getLength() == VarCharType.MAX_LENGTH;
          case BYTES ->
              type.is(LogicalTypeRoot.VARBINARY)
                  && ((VarBinaryType) type).getLength() == VarBinaryType.MAX_LENGTH;
          case INT -> type.is(LogicalTypeRoot.INTEGER);
          case LONG -> type.is(LogicalTypeRoot.BIGINT);
          case DOUBLE -> type.is(LogicalTypeRoot.DOUBLE);
          case BOOLEAN -> type.is(LogicalTypeRoot.BOOLEAN);
          case MAP -> type.is(LogicalTypeRoot.MAP);
          case ARRAY -> type.is(LogicalTypeRoot.ARRAY);
          case RECORD -> type.is(LogicalTypeRoot.ROW);
          default -> throw new IllegalStateException("No event has a field of type " + schema);
        };
    if (!fits) {
      throw new ValidationException(
          "Column '%s' of the event '%s' is %s; it must be %s."
              .formatted(where, kind, type.copy(true).asSummaryString(), sqlType(schema)));
    }
    switch (schema.getType()) {
      case MAP -> {
        requireType(
            kind,
            where + " (keys)",
            Schema.create(Schema.Type.STRING),
            ((MapType) type).getKeyType());
        requireType(
            kind, where + " (values)", schema.getValueType(), ((MapType) type).getValueType());
      }
      case ARRAY ->
          requireType(kind, where, schema.getElementType(), ((ArrayType) type).getElementType());
      case RECORD -> {
        for (RowType.RowField field : ((RowType) type).getFields()) {
          EventColumn known = find(kind, schema, where + ".", field.getName());
          requireType(kind, where + "." + field.getName(), known.schema(), field.getType());
          requireNullable(kind, where + "." + field.getName(), known, field.getType());
        }
      }
      default -> {}
    }
  }

  /** Flink takes NOT NULL for true, and would compute wrong results with what was read. */
  private static void requireNullable(
      EventKind kind, String where, EventColumn known, LogicalType type) {
    if (known.nullable() && !type.isNullable()) {
      throw new ValidationException(
          "Column '%s' is NOT NULL, but the event '%s' may have no value there; declare it %s."
              .formatted(where, kind, sqlType(known.schema())));
    }
  }

  private static void requireComplete(EventKind kind, String where, Schema record, RowType row) {
    Set<String> chosen = new HashSet<>();
    for (EventColumn column : EventColumn.of(record)) {
      Optional<RowType.RowField> present =
          row.getFields().stream().filter(each -> each.getName().equals(column.name())).findFirst();
      if (present.isPresent()) {
        chosen.add(column.field().name());
        requireComplete(kind, where + column.name(), column.schema(), present.get().getType());
      }
    }
    for (EventColumn column : EventColumn.of(record)) {
      if (column.required() && !chosen.contains(column.field().name())) {
        throw new ValidationException(
            "The table is written to, but has no column '%s', which every event '%s' has; add it as %s."
                .formatted(where + column.name(), kind, sqlType(column.schema())));
      }
    }
  }

  private static void requireComplete(
      EventKind kind, String where, Schema schema, LogicalType type) {
    switch (schema.getType()) {
      case RECORD -> requireComplete(kind, where + ".", schema, (RowType) type);
      case ARRAY ->
          requireComplete(
              kind, where, schema.getElementType(), ((ArrayType) type).getElementType());
      case MAP ->
          requireComplete(kind, where, schema.getValueType(), ((MapType) type).getValueType());
      default -> {}
    }
  }

  /** A type as it stands in {@code CREATE TABLE}. */
  static String sqlType(Schema schema) {
    return switch (schema.getType()) {
      case STRING, ENUM -> "STRING";
      case BYTES -> "BYTES";
      case INT -> "INT";
      case LONG -> "BIGINT";
      case DOUBLE -> "DOUBLE";
      case BOOLEAN -> "BOOLEAN";
      case MAP -> "MAP<STRING, " + sqlType(schema.getValueType()) + ">";
      case ARRAY -> "ARRAY<" + sqlType(schema.getElementType()) + ">";
      case RECORD ->
          EventColumn.of(schema).stream()
              .map(column -> "`" + column.name() + "` " + sqlType(column.schema()))
              .collect(Collectors.joining(", ", "ROW<", ">"));
      default -> throw new IllegalStateException("No event has a field of type " + schema);
    };
  }
}
