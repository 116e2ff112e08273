/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.weights.Sha256;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;

/**
 * The name of a row's file: text and columns' values. A value cannot leave its place: whatever is
 * no letter, digit, '-', '_' or '.' is written as %XX, so different values give different names,
 * and a value is neither a folder nor hidden.
 */
final class FileName implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final Pattern PLACE = Pattern.compile("\\{([^{}]*)}");
  private static final String DIGEST = "sha256";

  /** File systems allow 255 bytes, and a file in progress has a longer name than a finished one. */
  private static final int MOST_BYTES = 160;

  /**
   * Text, or a column.
   *
   * @param text null for a column or the digest
   * @param column its index; -1 for the digest
   */
  private record Part(String text, int column, LogicalTypeRoot type) implements Serializable {}

  private final List<Part> parts;

  private FileName(List<Part> parts) {
    this.parts = parts;
  }

  /**
   * @throws ValidationException for a column that the table has not, or whose values are no names
   */
  static FileName of(String template, RowType row) {
    List<Part> parts = new ArrayList<>();
    Matcher place = PLACE.matcher(template);
    int end = 0;
    while (place.find()) {
      parts.add(text(template, template.substring(end, place.start())));
      parts.add(
          place.group(1).equals(DIGEST) ? new Part(null, -1, null) : column(place.group(1), row));
      end = place.end();
    }
    if (end == 0) {
      throw new ValidationException(
          "Option 'file-name' cannot be '%s': without a column in braces, all rows would have one file. Write '{id}', for example."
              .formatted(template));
    }
    parts.add(text(template, template.substring(end)));
    return new FileName(parts);
  }

  private static Part text(String template, String text) {
    if (text.startsWith("/") && template.startsWith(text)
        || text.contains("..")
        || !text.matches("[A-Za-z0-9._/-]*")) {
      throw new ValidationException(
          "Option 'file-name' cannot be '%s': beside columns in braces it may have letters, digits, '-', '_', '.' and, between names, '/'."
              .formatted(template));
    }
    return new Part(text, -1, null);
  }

  private static Part column(String name, RowType row) {
    int column = row.getFieldIndex(name);
    if (column < 0) {
      throw new ValidationException(
          "Option 'file-name' names the column '%s', which the table does not have; it has %s, and {sha256} is the image's digest."
              .formatted(name, String.join(", ", row.getFieldNames())));
    }
    LogicalType type = row.getTypeAt(column);
    return switch (type.getTypeRoot()) {
      case CHAR, VARCHAR, INTEGER, BIGINT, BOOLEAN -> new Part(null, column, type.getTypeRoot());
      default ->
          throw new ValidationException(
              "Option 'file-name' names the column '%s', which is %s; it must be STRING, INT, BIGINT or BOOLEAN. CAST the value to STRING in the query."
                  .formatted(name, type.asSummaryString()));
    };
  }

  /** Whether rows without an image have a name, too. */
  boolean needsImage() {
    return parts.stream().anyMatch(part -> part.text() == null && part.column() < 0);
  }

  /**
   * @param image null where the row has none
   */
  String of(RowData row, byte[] image) {
    StringBuilder name = new StringBuilder();
    for (Part part : parts) {
      name.append(part.text() != null ? part.text() : safe(value(part, row, image)));
    }
    return name.toString();
  }

  private static String value(Part part, RowData row, byte[] image) {
    if (part.column() < 0) {
      return Sha256.hex(image);
    }
    if (row.isNullAt(part.column())) {
      return "null";
    }
    return switch (part.type()) {
      case INTEGER -> Integer.toString(row.getInt(part.column()));
      case BIGINT -> Long.toString(row.getLong(part.column()));
      case BOOLEAN -> Boolean.toString(row.getBoolean(part.column()));
      default -> row.getString(part.column()).toString();
    };
  }

  private static String safe(String value) {
    StringBuilder safe = new StringBuilder();
    value
        .codePoints()
        .forEach(
            c -> {
              boolean kept = Character.isLetterOrDigit(c) || c == '-' || c == '_';
              if (kept || c == '.' && !safe.isEmpty()) {
                safe.appendCodePoint(c);
              } else {
                for (byte b : Character.toString(c).getBytes(StandardCharsets.UTF_8)) {
                  safe.append("%%%02X".formatted(b));
                }
              }
            });
    byte[] bytes = safe.toString().getBytes(StandardCharsets.UTF_8);
    if (bytes.length == 0) {
      return "_";
    }
    if (bytes.length <= MOST_BYTES) {
      return safe.toString();
    }
    // Cut, and told apart from others that begin alike.
    String head = safe.toString();
    while (head.getBytes(StandardCharsets.UTF_8).length > MOST_BYTES - 20) {
      head = head.substring(0, head.offsetByCodePoints(head.length(), -1));
    }
    return head + "-" + Sha256.hex(value.getBytes(StandardCharsets.UTF_8)).substring(0, 16);
  }
}
