/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static io.github.flinkdiffusion.ops.table.SqlOnFlink.query;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.InputStream;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Bias by window: the measures of {@code make_balance_fixtures.py}, as aggregates. */
class ClassAggregatesITCase {
  private static final double EXACT = 1e-9;

  @RegisterExtension private static final MiniClusterExtension FLINK = SqlOnFlink.cluster();

  private static JsonNode expected() throws Exception {
    try (InputStream in =
        ClassAggregatesITCase.class.getResourceAsStream("/fixtures/quality/balance.json")) {
      return new ObjectMapper().readTree(in);
    }
  }

  /** Each case of the fixture is a part, whose images come in one minute. */
  private static StreamTableEnvironment session(RuntimeExecutionMode mode, String module)
      throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.setRuntimeMode(mode);
    env.setParallelism(1);
    StreamTableEnvironment sql = StreamTableEnvironment.create(env);
    sql.executeSql(module);
    List<Row> rows = new ArrayList<>();
    int number = 0;
    for (JsonNode each : expected().get("cases")) {
      for (int i = 0; i < each.get("counts").size(); i++) {
        for (int image = 0; image < each.get("counts").get(i).intValue(); image++) {
          rows.add(
              Row.of(LocalDateTime.of(2026, 1, 1, 12, number), "class " + i, "part " + number));
        }
      }
      rows.add(Row.of(LocalDateTime.of(2026, 1, 1, 12, number), null, "part " + number));
      number++;
    }
    sql.createTemporaryView(
        "classified",
        env.fromData(
            Types.ROW_NAMED(
                new String[] {"sent", "kind", "prompt"},
                Types.LOCAL_DATE_TIME,
                Types.STRING,
                Types.STRING),
            rows.toArray(Row[]::new)),
        Schema.newBuilder()
            .column("sent", DataTypes.TIMESTAMP(3))
            .column("kind", DataTypes.STRING())
            .column("prompt", DataTypes.STRING())
            .watermark("sent", "sent")
            .build());
    return sql;
  }

  private static String reference(JsonNode shares) {
    StringBuilder map = new StringBuilder("MAP[");
    for (int i = 0; i < shares.size(); i++) {
      map.append(i == 0 ? "" : ", ")
          .append("'class %d', CAST(%s AS DOUBLE)".formatted(i, shares.get(i)));
    }
    return map.append(']').toString();
  }

  @Test
  void windowsHaveTheMeasuresOfNumPy() throws Exception {
    assertMeasuresOfNumPy(RuntimeExecutionMode.STREAMING);
  }

  @Test
  @Tag("nightly")
  void boundedQueriesHaveTheMeasuresOfNumPy() throws Exception {
    assertMeasuresOfNumPy(RuntimeExecutionMode.BATCH);
  }

  private static void assertMeasuresOfNumPy(RuntimeExecutionMode mode) throws Exception {
    StreamTableEnvironment sql = session(mode, "LOAD MODULE diffusion");
    JsonNode cases = expected().get("cases");
    for (int number = 0; number < cases.size(); number++) {
      JsonNode each = cases.get(number);
      String reference = reference(each.get("reference"));
      List<Row> rows =
          query(
              sql,
              """
              SELECT CLASS_ENTROPY(kind), TOTAL_VARIATION(kind, %s), KL_DIVERGENCE(kind, %s)
              FROM TABLE(TUMBLE(TABLE classified, DESCRIPTOR(sent), INTERVAL '1' MINUTE))
              WHERE prompt = 'part %d' GROUP BY window_start, window_end
              """
                  .formatted(reference, reference, number));
      assertThat(rows).hasSize(1);
      assertThat((Double) rows.get(0).getField(0))
          .isCloseTo(each.get("entropy").doubleValue(), within(EXACT));
      assertThat((Double) rows.get(0).getField(1))
          .isCloseTo(each.get("totalVariation").doubleValue(), within(EXACT));
      assertThat((Double) rows.get(0).getField(2))
          .isCloseTo(each.get("divergence").doubleValue(), within(EXACT));
    }
    List<Row> gap =
        query(
            sql,
            """
            SELECT PARITY_GAP(kind, prompt)
            FROM TABLE(TUMBLE(TABLE classified, DESCRIPTOR(sent), INTERVAL '1' HOUR))
            GROUP BY window_start, window_end
            """);
    assertThat((Double) gap.get(0).getField(0))
        .isCloseTo(expected().get("parityGap").doubleValue(), within(EXACT));
  }

  @Test
  void theManualsStatementHasValues() throws Exception {
    List<String> blocks = SqlManualITCase.blocks(SqlManualITCase.MANUAL);
    blocks.removeIf(block -> !block.contains("CLASS_ENTROPY("));
    assertThat(blocks).hasSize(1);

    List<Row> rows =
        query(
            session(RuntimeExecutionMode.STREAMING, "LOAD MODULE diffusion"),
            blocks.get(0).replace(";", ""));

    assertThat(rows).hasSize(1);
    assertThat(rows.get(0).<Double>getFieldAs("variation")).isCloseTo(1, within(EXACT));
    assertThat(rows.get(0).<Double>getFieldAs("gap")).isPositive();
  }

  @Test
  void rowsThatAreTakenBackDoNotCount() throws Exception {
    StreamTableEnvironment sql = session(RuntimeExecutionMode.STREAMING, "LOAD MODULE diffusion");
    // The last class of each part replaces the earlier ones.
    List<Row> rows =
        query(
            sql,
            """
            SELECT CLASS_ENTROPY(kind), TOTAL_VARIATION(kind, MAP['class 3', 1e0])
            FROM (SELECT prompt, LAST_VALUE(kind) AS kind FROM classified GROUP BY prompt)
            """);
    Row last = rows.get(rows.size() - 1);
    assertThat((Double) last.getField(0)).isZero();
    assertThat((Double) last.getField(1)).isZero();
  }

  @Test
  void whatHasNoValueIsNullOrFailsTheJob() throws Exception {
    String statement = "SELECT TOTAL_VARIATION(kind, MAP['class 0', 0.4e0]) FROM classified";
    StreamTableEnvironment sql = session(RuntimeExecutionMode.BATCH, "LOAD MODULE diffusion");
    assertThat(query(sql, statement)).containsExactly(Row.of((Object) null));
    assertThat(query(sql, "SELECT PARITY_GAP(kind, 'one') FROM classified"))
        .containsExactly(Row.of((Object) null));
    assertThat(query(sql, "SELECT CLASS_ENTROPY(kind) FROM classified WHERE kind IS NULL"))
        .containsExactly(Row.of((Object) null));

    StreamTableEnvironment failing =
        session(RuntimeExecutionMode.BATCH, "LOAD MODULE diffusion WITH ('on-error' = 'FAIL')");
    assertThatThrownBy(() -> query(failing, statement)).hasStackTraceContaining("sum up to 0.4");
  }
}
