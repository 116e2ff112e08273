/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.apache.avro.Schema;

/**
 * A column, or a field of a ROW, that a record of Avro has.
 *
 * <p>A field that may be null is one column of its other type. A field that is one of two things (a
 * payload's content: bytes, or a reference) is a column for each, one of which has a value.
 *
 * @param name the field's, in snake case
 * @param field of the record
 * @param schema of the column's values; no union
 * @param nullable whether an event may have no value here
 * @param choice whether it is one of several columns for the field
 */
record EventColumn(
    String name, Schema.Field field, Schema schema, boolean nullable, boolean choice) {

  /** All that a record has, in its order. */
  static List<EventColumn> of(Schema record) {
    List<EventColumn> columns = new ArrayList<>();
    for (Schema.Field field : record.getFields()) {
      if (!field.schema().isUnion()) {
        columns.add(new EventColumn(snake(field.name()), field, field.schema(), false, false));
        continue;
      }
      List<Schema> things =
          field.schema().getTypes().stream()
              .filter(each -> each.getType() != Schema.Type.NULL)
              .toList();
      for (Schema thing : things) {
        String name = things.indexOf(thing) == 0 ? snake(field.name()) : "reference";
        columns.add(new EventColumn(name, field, thing, true, things.size() > 1));
      }
    }
    return columns;
  }

  /** Whether a row that is written needs the column, or one of the field's. */
  boolean required() {
    return !field.hasDefaultValue();
  }

  /** Digits stay where they are: {@code sha256}. */
  private static String snake(String name) {
    return name.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
  }
}
