/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.consumer;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;

/** Two rows become images, one without a prompt says why in its error column. */
public final class SqlJob {
  private SqlJob() {}

  public static void main(String[] arguments) throws Exception {
    TableEnvironment sql = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    sql.getConfig().set("parallelism.default", "1");
    sql.executeSql(
        """
        CREATE TEMPORARY VIEW prompts AS SELECT * FROM (VALUES
          ('apple', 'a red apple on a blue background'),
          ('tree', 'a green tree on a white background'),
          ('empty', CAST(NULL AS STRING))) AS v(id, prompt)\
        """);
    sql.executeSql(
        """
        CREATE MODEL painter
          INPUT (id STRING, prompt STRING)
          OUTPUT (image BYTES, width INT, height INT, `error-string` STRING)
          WITH ('provider' = 'diffusion', 'model.folder' = '%s', 'steps' = '4')\
        """
            .formatted(arguments[0]));
    List<String> results = new ArrayList<>();
    try (CloseableIterator<Row> rows =
        sql.executeSql(
                "SELECT id, image, width, height, `error-string`"
                    + " FROM ML_PREDICT(TABLE prompts, MODEL painter, DESCRIPTOR(id, prompt))")
            .collect()) {
      rows.forEachRemaining(row -> results.add(result(row)));
    }
    Collections.sort(results);
    List<String> expected =
        List.of("apple PNG 64x64", "empty The request has no prompt", "tree PNG 64x64");
    if (!results.equals(expected)) {
      throw new IllegalStateException("expected %s, got %s".formatted(expected, results));
    }
    System.out.println("SQL: " + results);
  }

  private static String result(Row row) {
    if (row.getField(4) != null) {
      return row.getField(0) + " " + row.getField(4).toString().split(";")[0];
    }
    byte[] image = (byte[]) row.getField(1);
    String kind = image[1] == 'P' && image[2] == 'N' && image[3] == 'G' ? "PNG" : "no PNG";
    return "%s %s %sx%s".formatted(row.getField(0), kind, row.getField(2), row.getField(3));
  }
}
