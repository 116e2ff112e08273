/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.catalog.ResolvedSchema;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;

/** The columns of a model's output: {@link OutputColumn}s and one for errors. */
final class OutputColumns implements Serializable {
  private static final long serialVersionUID = 1L;

  /**
   * The column that says why there is no picture, named as Flink's own providers name it. Theirs is
   * a metadata column, which Flink's DDL refuses in models (2.3): a physical one is taken, too.
   */
  static final String ERROR = "error-string";

  /** Null stands for the error column. */
  private final List<OutputColumn> columns;

  private OutputColumns(List<OutputColumn> columns) {
    this.columns = columns;
  }

  /**
   * @throws ValidationException for a column that there is not or that has another type
   */
  static OutputColumns of(ResolvedSchema schema) {
    List<OutputColumn> columns = new ArrayList<>();
    for (Column column : schema.getColumns()) {
      LogicalType type = column.getDataType().getLogicalType();
      String name =
          column instanceof Column.MetadataColumn metadata
              ? metadata.getMetadataKey().orElse(column.getName())
              : column.getName();
      if (name.equals(ERROR)) {
        require(column.getName(), type, LogicalTypeRoot.VARCHAR, "STRING");
        columns.add(null);
        continue;
      }
      Optional<OutputColumn> known = OutputColumn.named(name);
      if (known.isEmpty()) {
        throw new ValidationException(
            "Output column '%s' is unknown; expected one of %s, or %s."
                .formatted(
                    column.getName(),
                    Arrays.stream(OutputColumn.values())
                        .map(each -> each.column() + " " + each.sqlType())
                        .collect(Collectors.joining(", ")),
                    ERROR + " STRING"));
      }
      require(column.getName(), type, known.get().type(), known.get().sqlType());
      columns.add(known.get());
    }
    return new OutputColumns(columns);
  }

  private static void require(
      String name, LogicalType type, LogicalTypeRoot wanted, String sqlType) {
    if (!type.is(wanted)) {
      throw new ValidationException(
          "Output column '%s' is %s; it must be %s."
              .formatted(name, type.asSummaryString(), sqlType));
    }
  }

  boolean hasError() {
    return columns.contains(null);
  }

  RowData row(OutputColumn.Result result) {
    GenericRowData row = new GenericRowData(columns.size());
    for (int i = 0; i < columns.size(); i++) {
      row.setField(i, columns.get(i) == null ? null : columns.get(i).value(result));
    }
    return row;
  }

  RowData error(String message) {
    GenericRowData row = new GenericRowData(columns.size());
    for (int i = 0; i < columns.size(); i++) {
      row.setField(i, columns.get(i) == null ? StringData.fromString(message) : null);
    }
    return row;
  }
}
