/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * Runs the SQL of the manual and of the README as it stands there, but for the models' folders,
 * which are fixtures here. Each block is a session of its own, in which {@code prompts} exists.
 */
class SqlManualITCase {
  static final Path MANUAL = Path.of("../docs/SQL.md");
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models").toAbsolutePath();

  private static final Map<String, Path> FOLDERS =
      Map.of(
          "/models/stable-diffusion-v1-5", MODELS.resolve("tiny-sd1"),
          "/models/stable-diffusion-x4-upscaler", MODELS.resolve("tiny-x4-upscaler"));

  private static final Pattern BLOCK = Pattern.compile("(?ms)^```sql\\n(.*?)^```$");
  private static final Pattern END_OF_STATEMENT = Pattern.compile(";\\s*(\\n|$)");

  @RegisterExtension
  private static final MiniClusterExtension FLINK =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(2)
              .build());

  @Test
  void everyBlockOfTheManualMakesPictures() throws Exception {
    List<String> blocks = blocks(MANUAL);
    blocks.removeIf(SqlManualITCase::isOfWindows);
    // That block writes files and has a SET statement of the client; SqlScriptsITCase runs
    // files.sql.
    blocks.removeIf(block -> block.contains("'connector' = 'diffusion-images'"));
    assertThat(blocks).hasSizeGreaterThanOrEqualTo(2);
    for (String block : blocks) {
      assertThat(picturesOf(block)).as(block).hasSize(2);
    }
  }

  @Test
  void itsQualitiesOfWindowsAreNumbers() throws Exception {
    List<String> blocks = blocks(MANUAL);
    // The other one is run by ClassAggregatesITCase.
    blocks.removeIf(block -> !isOfWindows(block) || !block.contains("FID("));
    assertThat(blocks).hasSize(1);
    List<Row> rows = new ArrayList<>();
    StreamTableEnvironment sql = comparedPictures();
    for (String statement : END_OF_STATEMENT.split(blocks.get(0))) {
      TableResult result = sql.executeSql(statement);
      try (CloseableIterator<Row> found = result.collect()) {
        while (statement.startsWith("SELECT") && found.hasNext()) {
          rows.add(found.next());
        }
      }
    }
    assertThat(rows).hasSize(1);
    // Of three pictures, a 10th, a 5th and a half away from the truth.
    double decibels = -20 / 3.0 * (Math.log10(0.1) + Math.log10(0.2) + Math.log10(0.5));
    assertThat(rows.get(0).<Double>getFieldAs("psnr")).isCloseTo(decibels, within(0.1));
    // Both sets have the same spread, and means that are 3 apart.
    assertThat(rows.get(0).<Double>getFieldAs("fid")).isCloseTo(9, within(1e-9));
    assertThat(rows.get(0).<Double>getFieldAs("kid")).isPositive();
  }

  private static boolean isOfWindows(String block) {
    return block.contains("GROUP BY window_start");
  }

  private static StreamTableEnvironment comparedPictures() {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.setParallelism(1);
    StreamTableEnvironment sql = StreamTableEnvironment.create(env);
    TypeInformation<Row> type =
        Types.ROW_NAMED(
            new String[] {"sent", "picture", "truth", "features", "truth_features"},
            Types.LOCAL_DATE_TIME,
            Types.PRIMITIVE_ARRAY(Types.BYTE),
            Types.PRIMITIVE_ARRAY(Types.BYTE),
            Types.OBJECT_ARRAY(Types.DOUBLE),
            Types.OBJECT_ARRAY(Types.DOUBLE));
    List<Row> rows = new ArrayList<>();
    for (double error : new double[] {0.1, 0.2, 0.5}) {
      rows.add(
          Row.of(
              LocalDateTime.of(2026, 1, 1, 12, 0, rows.size()),
              PngCodec.encode(Raster.filled(1, 16, 16, (float) error)),
              PngCodec.encode(Raster.filled(1, 16, 16, 0)),
              new Double[] {error, 1.0},
              new Double[] {error, 4.0}));
    }
    sql.createTemporaryView(
        "compared",
        env.fromData(type, rows.toArray(Row[]::new)),
        Schema.newBuilder()
            .column("sent", DataTypes.TIMESTAMP(3))
            .column("picture", DataTypes.BYTES())
            .column("truth", DataTypes.BYTES())
            .column("features", DataTypes.ARRAY(DataTypes.DOUBLE()))
            .column("truth_features", DataTypes.ARRAY(DataTypes.DOUBLE()))
            .watermark("sent", "sent")
            .build());
    return sql;
  }

  @Test
  void everyBlockOfTheReadmeMakesPictures() throws Exception {
    List<String> blocks = blocks(Path.of("../README.md"));
    assertThat(blocks).isNotEmpty();
    for (String block : blocks) {
      assertThat(picturesOf(block)).as(block).hasSize(2);
    }
  }

  /** What the block's queries yield; each row must hold a picture. */
  private static List<Raster> picturesOf(String block) throws Exception {
    TableEnvironment sql = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    sql.getConfig().set("parallelism.default", "1");
    sql.executeSql(
        "CREATE TEMPORARY VIEW prompts AS SELECT * FROM"
            + " (VALUES ('p1', 'a red apple'), ('p2', 'a blue moon')) AS v(id, prompt)");
    List<Raster> pictures = new ArrayList<>();
    for (String statement : END_OF_STATEMENT.split(block)) {
      TableResult result = sql.executeSql(here(statement));
      try (CloseableIterator<Row> rows = result.collect()) {
        while (statement.startsWith("SELECT") && rows.hasNext()) {
          pictures.add(picture(rows.next()));
        }
      }
    }
    return pictures;
  }

  private static Raster picture(Row row) {
    byte[] image = row.getFieldAs(row.getArity() - 1);
    assertThat(image).as("the last column of %s", row).isNotNull();
    return PngCodec.decode(image);
  }

  private static String here(String statement) {
    String changed = statement;
    for (Map.Entry<String, Path> folder : FOLDERS.entrySet()) {
      changed = changed.replace("'" + folder.getKey() + "'", "'" + folder.getValue() + "'");
    }
    return changed;
  }

  static List<String> blocks(Path page) throws IOException {
    return BLOCK
        .matcher(Files.readString(page))
        .results()
        .map((MatchResult block) -> block.group(1).strip())
        .collect(Collectors.toCollection(ArrayList::new));
  }
}
