/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static io.github.flinkdiffusion.ops.table.SqlOnFlink.query;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.evaluation.ClipEmbeddings;
import io.github.flinkdiffusion.ops.evaluation.DrawnWeights;
import io.github.flinkdiffusion.ops.evaluation.InceptionFeatures;
import io.github.flinkdiffusion.ops.evaluation.PerceptualDistance;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.InceptionV3;
import io.github.flinkdiffusion.ops.network.PerceptualNetwork;
import io.github.flinkdiffusion.ops.quality.Manifold;
import io.github.flinkdiffusion.ops.quality.TextAgreement;
import java.nio.file.Path;
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
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** From images to measures in SQL: each window has what the whole of its images has in a batch. */
class MeasuringFunctionsITCase {
  private static final double EXACT = 1e-5;
  private static final Path CLIP = Path.of("src/test/resources/fixtures/quality/tiny-clip");
  private static final int IMAGES = 24;

  @RegisterExtension private static final MiniClusterExtension FLINK = SqlOnFlink.cluster();

  @TempDir private static Path folder;

  private static final List<Raster> PICTURES = new ArrayList<>();
  private static final List<Raster> TRUTHS = new ArrayList<>();
  private static final List<String> TEXTS = new ArrayList<>();
  private static Path alex;

  @BeforeAll
  static void draw() {
    for (int i = 0; i < IMAGES; i++) {
      PICTURES.add(DrawnWeights.picture("picture" + i, 32, 32, false));
      TRUTHS.add(DrawnWeights.picture("truth" + i, 32, 32, true));
      TEXTS.add((i % 2 == 0 ? "a cat with the number " : "two birds and ") + i);
    }
    alex = folder.resolve("alex.safetensors");
    DrawnWeights.write(alex, PerceptualNetwork.ALEX.graph());
  }

  private static StreamTableEnvironment session(RuntimeExecutionMode mode) {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.setRuntimeMode(mode);
    env.setParallelism(1);
    StreamTableEnvironment sql = StreamTableEnvironment.create(env);
    sql.executeSql("LOAD MODULE diffusion");
    TypeInformation<?> bytes = Types.PRIMITIVE_ARRAY(Types.BYTE);
    TypeInformation<Row> type =
        Types.ROW_NAMED(
            new String[] {"sent", "picture", "truth", "text"},
            Types.LOCAL_DATE_TIME,
            bytes,
            bytes,
            Types.STRING);
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < IMAGES; i++) {
      rows.add(
          Row.of(
              LocalDateTime.of(2026, 1, 1, 12, 0, i),
              Images.write(PICTURES.get(i), "image/png"),
              Images.write(TRUTHS.get(i), "image/png"),
              TEXTS.get(i)));
    }
    sql.createTemporaryView(
        "images",
        env.fromData(type, rows.toArray(Row[]::new)),
        Schema.newBuilder()
            .column("sent", DataTypes.TIMESTAMP(3))
            .column("picture", DataTypes.BYTES())
            .column("truth", DataTypes.BYTES())
            .column("text", DataTypes.STRING())
            .watermark("sent", "sent")
            .build());
    return sql;
  }

  /** Seconds of a window, and the rows that it has in a batch. */
  @ParameterizedTest
  @ValueSource(strings = {"STREAMING 8", "BATCH 8", "BATCH 60"})
  void windowsHaveTheMeasuresOfABatch(String modeAndSeconds) throws Exception {
    String[] given = modeAndSeconds.split(" ");
    int size = Math.min(IMAGES, Integer.parseInt(given[1]));
    List<Row> rows =
        query(
            session(RuntimeExecutionMode.valueOf(given[0])),
            """
            SELECT window_start, AVG(LPIPS(picture, truth, '%s')) AS lpips,
              CLIP_SCORE(CLIP_FEATURES(picture, '%s'), CLIP_FEATURES(text, '%s')) AS clip,
              R_PRECISION(CLIP_FEATURES(picture, '%s'), CLIP_FEATURES(text, '%s')) AS r,
              PRDC(CLIP_FEATURES(picture, '%s'), CLIP_FEATURES(truth, '%s')) AS prdc
            FROM TABLE(TUMBLE(TABLE images, DESCRIPTOR(sent), INTERVAL '%s' SECOND))
            GROUP BY window_start, window_end
            """
                .formatted(alex, CLIP, CLIP, CLIP, CLIP, CLIP, CLIP, given[1]));
    assertThat(rows).hasSize(IMAGES / size);
    try (ClipEmbeddings clip = ClipEmbeddings.open(CLIP, DeviceSpec.CPU);
        PerceptualDistance distance = PerceptualDistance.open(alex, DeviceSpec.CPU)) {
      for (int i = 0; i < rows.size(); i++) {
        List<Raster> pictures = PICTURES.subList(i * size, (i + 1) * size);
        List<Raster> truths = TRUTHS.subList(i * size, (i + 1) * size);
        float[][] images = clip.images(pictures);
        float[][] texts = clip.texts(TEXTS.subList(i * size, (i + 1) * size));
        Row row = rows.get(i);
        assertThat(row.<Double>getFieldAs("lpips"))
            .isCloseTo(
                Arrays.stream(distance.between(pictures, truths)).average().orElseThrow(),
                within(EXACT));
        assertThat(row.<Double>getFieldAs("clip"))
            .isCloseTo(TextAgreement.clipScore(images, texts), within(100 * EXACT));
        assertThat(row.<Double>getFieldAs("r"))
            .isCloseTo(TextAgreement.precision(images, texts), within(EXACT));
        Manifold manifold = Manifold.of(clip.images(truths), images, PrdcFunction.NEAREST);
        Row prdc = row.getFieldAs("prdc");
        assertThat(prdc.<Double>getFieldAs("precision"))
            .isCloseTo(manifold.precision(), within(EXACT));
        assertThat(prdc.<Double>getFieldAs("recall")).isCloseTo(manifold.recall(), within(EXACT));
        assertThat(prdc.<Double>getFieldAs("density")).isCloseTo(manifold.density(), within(EXACT));
        assertThat(prdc.<Double>getFieldAs("coverage"))
            .isCloseTo(manifold.coverage(), within(EXACT));
      }
    }
  }

  @Tag("nightly")
  @Test
  void inceptionGivesFeaturesAndLogits() throws Exception {
    Path weights = folder.resolve("inception.safetensors");
    DrawnWeights.write(weights, InceptionV3.graph());
    List<Row> rows =
        query(
            session(RuntimeExecutionMode.BATCH),
            "SELECT seen.features, seen.logits FROM (SELECT INCEPTION(picture, '%s') AS seen FROM images LIMIT 1)"
                .formatted(weights));
    try (InceptionFeatures inception = InceptionFeatures.open(weights, DeviceSpec.CPU)) {
      InceptionFeatures.Seen seen = inception.see(PICTURES.subList(0, 1));
      Float[] features = rows.get(0).getFieldAs(0);
      Float[] logits = rows.get(0).getFieldAs(1);
      assertThat(features).hasSize(InceptionV3.FEATURES);
      assertThat(logits).hasSize(InceptionV3.CLASSES);
      assertThat(features[7]).isEqualTo(seen.features()[0][7]);
      assertThat(logits[7]).isEqualTo(seen.logits()[0][7]);
    }
  }

  @Test
  void aCorruptImageIsNullAndMissingWeightsFailTheJob() throws Exception {
    StreamTableEnvironment sql = session(RuntimeExecutionMode.BATCH);
    String corrupt = "SELECT CLIP_FEATURES(X'00', '%s'), LPIPS(X'00', X'00', '%s')";
    assertThat(query(sql, corrupt.formatted(CLIP, alex))).containsExactly(Row.of(null, null));
    String missing = "SELECT CLIP_FEATURES(text, '/nowhere') FROM images";
    assertThatThrownBy(() -> query(sql, missing)).hasStackTraceContaining("/nowhere");
  }
}
