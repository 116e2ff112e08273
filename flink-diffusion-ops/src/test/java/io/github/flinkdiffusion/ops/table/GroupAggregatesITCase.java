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
import io.github.flinkdiffusion.ops.quality.Diversity;
import io.github.flinkdiffusion.ops.quality.InceptionScore;
import io.github.flinkdiffusion.ops.quality.TextAgreement;
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
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Inception Score, CLIPScore, R-precision and Vendi score of the arrays for which their own
 * packages computed them ({@code make_measure_fixtures.py}): a row each second, each array as long
 * as there are any.
 */
class GroupAggregatesITCase {
  private static final double EXACT = 1e-8;

  /** 1e-4 relative. */
  private static final Percentage CLOSE = Percentage.withPercentage(0.01);

  private static final String ALL =
      "INCEPTION_SCORE(logits) AS inception, CLIP_SCORE(image, text) AS clip, R_PRECISION(image,"
          + " text) AS r, VENDI_SCORE(features) AS vendi";

  @RegisterExtension private static final MiniClusterExtension FLINK = SqlOnFlink.cluster();

  private static JsonNode expected;
  private static float[][] logits;
  private static float[][] images;
  private static float[][] texts;
  private static float[][] features;

  @BeforeAll
  static void read() throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    try (InputStream in =
        GroupAggregatesITCase.class.getResourceAsStream("/fixtures/quality/measures.json")) {
      expected = mapper.readTree(in);
    }
    logits = mapper.treeToValue(expected.at("/inception/0/logits"), float[][].class);
    images = mapper.treeToValue(expected.at("/texts/0/images"), float[][].class);
    texts = mapper.treeToValue(expected.at("/texts/0/texts"), float[][].class);
    features = mapper.treeToValue(expected.at("/vendi/1/features"), float[][].class);
    assertThat(List.of(logits.length, images.length, features.length)).containsExactly(40, 25, 30);
  }

  private static StreamTableEnvironment session(RuntimeExecutionMode mode) {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.setRuntimeMode(mode);
    env.setParallelism(1);
    StreamTableEnvironment sql = StreamTableEnvironment.create(env);
    sql.executeSql("LOAD MODULE diffusion");
    TypeInformation<?> array = Types.OBJECT_ARRAY(Types.DOUBLE);
    TypeInformation<Row> type =
        Types.ROW_NAMED(
            new String[] {"sent", "logits", "image", "text", "features"},
            Types.LOCAL_DATE_TIME,
            array,
            array,
            array,
            array);
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < logits.length; i++) {
      rows.add(
          Row.of(
              LocalDateTime.of(2026, 1, 1, 12, 0, i),
              boxed(logits, i),
              boxed(images, i),
              boxed(texts, i),
              boxed(features, i)));
    }
    sql.createTemporaryView(
        "pictures",
        env.fromData(type, rows.toArray(Row[]::new)),
        Schema.newBuilder()
            .column("sent", DataTypes.TIMESTAMP(3))
            .column("logits", DataTypes.ARRAY(DataTypes.DOUBLE()))
            .column("image", DataTypes.ARRAY(DataTypes.DOUBLE()))
            .column("text", DataTypes.ARRAY(DataTypes.DOUBLE()))
            .column("features", DataTypes.ARRAY(DataTypes.DOUBLE()))
            .watermark("sent", "sent")
            .build());
    return sql;
  }

  private static Double[] boxed(float[][] vectors, int row) {
    if (row >= vectors.length) {
      return null;
    }
    Double[] boxed = new Double[vectors[row].length];
    for (int i = 0; i < boxed.length; i++) {
      boxed[i] = (double) vectors[row][i];
    }
    return boxed;
  }

  private static float[][] part(float[][] vectors, int from, int to) {
    int length = vectors.length;
    return Arrays.copyOfRange(
        vectors, Math.min(length, Math.max(0, from)), Math.min(length, Math.max(0, to)));
  }

  private static void assertMeasures(Row row, int from, int to) {
    assertThat(row.<Double>getFieldAs("inception"))
        .isCloseTo(InceptionScore.of(part(logits, from, to), 1).mean(), within(EXACT));
    float[][] some = part(images, from, to);
    if (some.length == 0) {
      assertThat(row.getField("clip")).isNull();
      assertThat(row.getField("r")).isNull();
    } else {
      float[][] theirs = part(texts, from, to);
      assertThat(row.<Double>getFieldAs("clip"))
          .isCloseTo(TextAgreement.clipScore(some, theirs), within(EXACT));
      assertThat(row.<Double>getFieldAs("r"))
          .isCloseTo(TextAgreement.precision(some, theirs), within(EXACT));
    }
    float[][] vectors = part(features, from, to);
    if (vectors.length == 0) {
      assertThat(row.getField("vendi")).isNull();
    } else {
      assertThat(row.<Double>getFieldAs("vendi"))
          .isCloseTo(Diversity.vendi(vectors), within(EXACT));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"STREAMING", "BATCH"})
  void aWindowHasTheMeasuresOfTheirOwnPackages(RuntimeExecutionMode mode) throws Exception {
    List<Row> rows =
        query(
            session(mode),
            "SELECT window_start, "
                + ALL
                + " FROM TABLE(TUMBLE(TABLE pictures, DESCRIPTOR(sent), INTERVAL '1' MINUTE)) GROUP"
                + " BY window_start, window_end");
    assertThat(rows).hasSize(1);
    Row row = rows.get(0);
    assertThat(row.<Double>getFieldAs("inception"))
        .isCloseTo(expected.at("/inception/0/mean").doubleValue(), CLOSE);
    assertThat(row.<Double>getFieldAs("clip"))
        .isCloseTo(expected.at("/texts/0/clipScore").doubleValue(), CLOSE);
    assertThat(row.<Double>getFieldAs("r"))
        .isCloseTo(expected.at("/texts/0/precision").doubleValue(), CLOSE);
    assertThat(row.<Double>getFieldAs("vendi"))
        .isCloseTo(expected.at("/vendi/1/vendi").doubleValue(), CLOSE);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "HOP(TABLE pictures, DESCRIPTOR(sent), INTERVAL '20' SECOND, INTERVAL '40' SECOND) | 0-20"
            + " 0-40 20-40",
        "SESSION(TABLE pictures, DESCRIPTOR(sent), INTERVAL '5' SECOND) | 0-40"
      })
  void windowsThatAreMergedHaveTheirOwn(String windows, String expected) throws Exception {
    List<Row> rows =
        query(
            session(RuntimeExecutionMode.STREAMING),
            "SELECT window_end, "
                + ALL
                + " FROM TABLE("
                + windows
                + ") GROUP BY window_start, window_end");
    String[] ranges = expected.split(" ");
    assertThat(rows).hasSize(ranges.length);
    for (int i = 0; i < ranges.length; i++) {
      String[] range = ranges[i].split("-");
      assertMeasures(rows.get(i), Integer.parseInt(range[0]), Integer.parseInt(range[1]));
    }
  }

  @Test
  void theLastTenPicturesHaveTheirs() throws Exception {
    List<Row> rows =
        query(
            session(RuntimeExecutionMode.STREAMING),
            "SELECT INCEPTION_SCORE(logits) OVER w AS inception, CLIP_SCORE(image, text) OVER w AS"
                + " clip, R_PRECISION(image, text) OVER w AS r, VENDI_SCORE(features) OVER w AS"
                + " vendi FROM pictures WINDOW w AS (ORDER BY sent ROWS BETWEEN 9 PRECEDING AND"
                + " CURRENT ROW)");
    assertThat(rows).hasSize(40);
    for (int last = 0; last < 40; last++) {
      assertMeasures(rows.get(last), last - 9, last + 1);
    }
  }

  /** The alarm of docs/PROVE.md, without its window. */
  @Test
  void aModelThatGivesOneImageForAllSeedsRaisesTheAlarm() throws Exception {
    List<Row> alarms =
        query(
            session(RuntimeExecutionMode.BATCH),
            """
            SELECT prompt, VENDI_SCORE(features) AS different, COUNT(*) AS images
            FROM (SELECT 'healthy' AS prompt, features FROM pictures
              UNION ALL
              SELECT 'collapsed', ARRAY[1e0, 2e0 + 1e-3 * EXTRACT(SECOND FROM sent), -1e0] FROM pictures)
            GROUP BY prompt HAVING COUNT(*) >= 20 AND VENDI_SCORE(features) < 2
            """);
    assertThat(alarms).hasSize(1);
    assertThat(alarms.get(0).getField("prompt")).isEqualTo("collapsed");
    assertThat(alarms.get(0).<Double>getFieldAs("different")).isCloseTo(1, within(0.01));
  }

  private static final String WITH_A_BAD_ONE =
      """
      SELECT INCEPTION_SCORE(f), CLIP_SCORE(f, t), R_PRECISION(f, t), VENDI_SCORE(f) FROM (VALUES
        (ARRAY[1e0, 2e0], ARRAY[1e0, 3e0]), (ARRAY[2e0, 2e0], ARRAY[5e0, 3e0]),
        (%s, ARRAY[2e0, 2e0])) AS v(f, t)
      """;

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "ARRAY[1e0, CAST(NULL AS DOUBLE)] | Feature 1 is NULL",
        "ARRAY[0e0, 0e0] | The array has zeros only",
      })
  void anArrayThatCanNotBeUsedIsLeftOutOrFailsTheJob(String bad, String sentence) throws Exception {
    StreamTableEnvironment sql = session(RuntimeExecutionMode.BATCH);
    Row found = query(sql, WITH_A_BAD_ONE.formatted(bad)).get(0);
    Row without = query(sql, WITH_A_BAD_ONE.formatted("CAST(NULL AS ARRAY<DOUBLE>)")).get(0);
    for (int i = 1; i < 4; i++) {
      assertThat(found.<Double>getFieldAs(i)).isCloseTo(without.getFieldAs(i), within(EXACT));
    }
    sql.executeSql("UNLOAD MODULE diffusion");
    sql.executeSql("LOAD MODULE diffusion WITH ('on-error' = 'FAIL')");
    assertThatThrownBy(() -> query(sql, WITH_A_BAD_ONE.formatted(bad)))
        .hasStackTraceContaining(sentence);
  }

  @Test
  void arraysOfTwoNetworksAndNoArraysHaveNoMeasure() throws Exception {
    StreamTableEnvironment sql = session(RuntimeExecutionMode.BATCH);
    assertThat(query(sql, WITH_A_BAD_ONE.formatted("ARRAY[1e0, 2e0, 3e0]")))
        .containsExactly(Row.of(null, null, null, null));
    assertThat(
            query(
                sql,
                "SELECT INCEPTION_SCORE(f), CLIP_SCORE(f, f), R_PRECISION(f, f), VENDI_SCORE(f)"
                    + " FROM (VALUES (CAST(NULL AS ARRAY<DOUBLE>))) AS v(f)"))
        .containsExactly(Row.of(null, null, null, null));
  }
}
