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
import io.github.flinkdiffusion.ops.quality.FeatureDistance;
import java.io.IOException;
import java.io.InputStream;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * FID and KID of features for which SciPy and NumPy computed them ({@code
 * make_quality_fixtures.py}): a row each second, the later ones without a truth.
 */
class FeatureAggregatesITCase {
  private static final double EXACT = 1e-8;

  @RegisterExtension private static final MiniClusterExtension FLINK = SqlOnFlink.cluster();

  private static float[][] features;
  private static float[][] truths;
  private static double scipysFid;
  private static double numpysKid;

  @BeforeAll
  static void read() throws IOException {
    try (InputStream in =
        FeatureAggregatesITCase.class.getResourceAsStream("/fixtures/quality/expected.json")) {
      ObjectMapper mapper = new ObjectMapper();
      JsonNode sets = mapper.readTree(in).get("features").get(0);
      features = mapper.treeToValue(sets.get("first"), float[][].class);
      truths = mapper.treeToValue(sets.get("second"), float[][].class);
      scipysFid = sets.get("frechet").doubleValue();
      numpysKid = sets.get("kid").doubleValue();
    }
    assertThat(features).hasNumberOfRows(60);
    assertThat(truths).hasNumberOfRows(50);
  }

  private static StreamTableEnvironment session(RuntimeExecutionMode mode) {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.setRuntimeMode(mode);
    env.setParallelism(1);
    StreamTableEnvironment sql = StreamTableEnvironment.create(env);
    sql.executeSql("LOAD MODULE diffusion");
    TypeInformation<Row> type =
        Types.ROW_NAMED(
            new String[] {"sent", "features", "truth"},
            Types.LOCAL_DATE_TIME,
            Types.OBJECT_ARRAY(Types.DOUBLE),
            Types.OBJECT_ARRAY(Types.DOUBLE));
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < features.length; i++) {
      rows.add(
          Row.of(
              LocalDateTime.of(2026, 1, 1, 12, 0, i),
              boxed(features[i]),
              i < truths.length ? boxed(truths[i]) : null));
    }
    sql.createTemporaryView(
        "pictures",
        env.fromData(type, rows.toArray(Row[]::new)),
        Schema.newBuilder()
            .column("sent", DataTypes.TIMESTAMP(3))
            .column("features", DataTypes.ARRAY(DataTypes.DOUBLE()))
            .column("truth", DataTypes.ARRAY(DataTypes.DOUBLE()))
            .watermark("sent", "sent")
            .build());
    return sql;
  }

  private static Double[] boxed(float[] vector) {
    Double[] boxed = new Double[vector.length];
    for (int i = 0; i < boxed.length; i++) {
      boxed[i] = (double) vector[i];
    }
    return boxed;
  }

  private static void assertDistances(Row row, int from, int to) {
    float[][] some = part(features, from, to);
    float[][] true_ = part(truths, from, to);
    assertThat(row.<Double>getFieldAs("fid"))
        .isCloseTo(FeatureDistance.frechet(some, true_), within(EXACT));
    assertThat(row.<Double>getFieldAs("kid"))
        .isCloseTo(FeatureDistance.kernel(some, true_), within(EXACT));
  }

  private static float[][] part(float[][] vectors, int from, int to) {
    return Arrays.copyOfRange(vectors, Math.max(0, from), Math.min(vectors.length, to));
  }

  private static final String BOTH = "FID(features, truth) AS fid, KID(features, truth) AS kid";

  @ParameterizedTest
  @ValueSource(strings = {"STREAMING", "BATCH"})
  void aWindowHasTheDistancesOfSciPyAndNumPy(RuntimeExecutionMode mode) throws Exception {
    List<Row> rows =
        query(
            session(mode),
            "SELECT window_start, "
                + BOTH
                + ", COUNT(*) AS pictures FROM TABLE(TUMBLE(TABLE pictures, DESCRIPTOR(sent),"
                + " INTERVAL '1' MINUTE)) GROUP BY window_start, window_end");
    assertThat(rows).hasSize(1);
    assertThat(rows.get(0).<Double>getFieldAs("fid")).isCloseTo(scipysFid, within(EXACT));
    assertThat(rows.get(0).<Double>getFieldAs("kid")).isCloseTo(numpysKid, within(EXACT));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "HOP(TABLE pictures, DESCRIPTOR(sent), INTERVAL '20' SECOND, INTERVAL '40' SECOND) | 0-20"
            + " 0-40 20-60 40-60",
        "CUMULATE(TABLE pictures, DESCRIPTOR(sent), INTERVAL '30' SECOND, INTERVAL '60' SECOND) |"
            + " 0-30 0-60",
        "SESSION(TABLE pictures, DESCRIPTOR(sent), INTERVAL '5' SECOND) | 0-60"
      })
  void windowsThatAreMergedHaveTheirOwn(String windows, String expected) throws Exception {
    List<Row> rows =
        query(
            session(RuntimeExecutionMode.STREAMING),
            "SELECT window_end, "
                + BOTH
                + " FROM TABLE("
                + windows
                + ") GROUP BY window_start, window_end");
    String[] ranges = expected.split(" ");
    assertThat(rows).hasSize(ranges.length);
    for (int i = 0; i < ranges.length; i++) {
      String[] range = ranges[i].split("-");
      assertDistances(rows.get(i), Integer.parseInt(range[0]), Integer.parseInt(range[1]));
    }
  }

  @Test
  void theLastThirtyPicturesHaveTheirs() throws Exception {
    List<Row> rows =
        query(
            session(RuntimeExecutionMode.STREAMING),
            "SELECT FID(features, truth) OVER last_ones AS fid, KID(features, truth) OVER last_ones"
                + " AS kid FROM pictures WINDOW last_ones AS (ORDER BY sent ROWS BETWEEN 29"
                + " PRECEDING AND CURRENT ROW)");
    assertThat(rows).hasSize(60);
    assertThat(rows.get(0)).isEqualTo(Row.of(null, null));
    for (int last = 1; last < 60; last++) {
      assertDistances(rows.get(last), last - 29, last + 1);
    }
  }

  @Test
  void setsMayComeInRowsOfTheirOwnAndAsFloats() throws Exception {
    Row row =
        query(
                session(RuntimeExecutionMode.BATCH),
                """
                SELECT FID(CASE WHEN generated THEN f END, CASE WHEN NOT generated THEN f END) AS fid,
                  KID(CASE WHEN generated THEN f END, CASE WHEN NOT generated THEN f END) AS kid
                FROM (SELECT TRUE AS generated, CAST(features AS ARRAY<FLOAT>) AS f FROM pictures
                  UNION ALL SELECT FALSE, CAST(truth AS ARRAY<FLOAT>) FROM pictures)
                """)
            .get(0);
    assertDistances(row, 0, 60);
  }

  private static final String WITH_BAD_ONES =
      """
      SELECT FID(f, t), KID(f, t) FROM (VALUES
        (ARRAY[1e0, 2e0], ARRAY[1e0, 3e0]), (ARRAY[2e0, 2e0], ARRAY[5e0, 3e0]),
        (%s, ARRAY[2e0, 2e0])) AS v(f, t)
      """;

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "ARRAY[1e0, CAST(NULL AS DOUBLE)] | Feature 1 is NULL",
        "ARRAY[CAST('NaN' AS DOUBLE), 1e0] | Feature 0 is NaN",
      })
  void anArrayThatCanNotBeUsedIsLeftOutOrFailsTheJob(String bad, String sentence) throws Exception {
    StreamTableEnvironment sql = session(RuntimeExecutionMode.BATCH);
    Row found = query(sql, WITH_BAD_ONES.formatted(bad)).get(0);
    Row without = query(sql, WITH_BAD_ONES.formatted("CAST(NULL AS ARRAY<DOUBLE>)")).get(0);
    assertThat(found.<Double>getFieldAs(0)).isCloseTo(without.getFieldAs(0), within(EXACT));
    assertThat(found.<Double>getFieldAs(1)).isEqualTo(without.getFieldAs(1));
    sql.executeSql("UNLOAD MODULE diffusion");
    sql.executeSql("LOAD MODULE diffusion WITH ('on-error' = 'FAIL')");
    assertThatThrownBy(() -> query(sql, WITH_BAD_ONES.formatted(bad)))
        .hasStackTraceContaining(sentence);
  }

  @Test
  void arraysOfTwoNetworksHaveNoDistance() throws Exception {
    StreamTableEnvironment sql = session(RuntimeExecutionMode.BATCH);
    String two = WITH_BAD_ONES.formatted("ARRAY[1e0, 2e0, 3e0]");
    assertThat(query(sql, two)).containsExactly(Row.of(null, null));
    sql.executeSql("UNLOAD MODULE diffusion");
    sql.executeSql("LOAD MODULE diffusion WITH ('on-error' = 'FAIL')");
    assertThatThrownBy(() -> query(sql, two))
        .hasStackTraceContaining("A group has arrays of 2 and of 3 features");
  }

  @Test
  void oneArrayOfASetIsNotEnough() throws Exception {
    assertThat(
            query(
                session(RuntimeExecutionMode.BATCH),
                "SELECT FID(f, f), KID(f, f), FID(f, CAST(NULL AS ARRAY<DOUBLE>)) FROM (VALUES"
                    + " (ARRAY[1e0])) AS v(f)"))
        .containsExactly(Row.of(null, null, null));
  }
}
