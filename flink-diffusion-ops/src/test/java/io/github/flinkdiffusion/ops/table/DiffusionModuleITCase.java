/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.pipeline.FolderCase;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.weights.Sha256;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DiffusionModuleITCase {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models").toAbsolutePath();

  private static final String LOAD =
      """
      LOAD MODULE diffusion WITH (
        'text-to-image.model.folder' = '%s', 'text-to-image.device' = 'cpu',
        'text-to-image.batch.rows' = '4', 'text-to-image.steps' = '2',
        'text-to-image.scheduler' = 'DDIMScheduler',
        'image-to-image.model.folder' = '%s', 'image-to-image.device' = 'cpu',
        'image-to-image.batch.rows' = '4', 'image-to-image.scheduler' = 'DDIMScheduler',
        'upscale.model.folder' = '%s', 'upscale.device' = 'cpu',
        'upscale.batch.rows' = '4', 'upscale.steps' = '2')
      """
          .formatted(
              MODELS.resolve("tiny-sd1"),
              MODELS.resolve("tiny-sd1"),
              MODELS.resolve("tiny-x4-upscaler"));

  @RegisterExtension private static final MiniClusterExtension FLINK = SqlOnFlink.cluster();

  private TableEnvironment sql;

  @BeforeEach
  void newSession() {
    sql = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    sql.getConfig().set("parallelism.default", "1");
  }

  private List<Row> query(String statement) throws Exception {
    return SqlOnFlink.query(sql, statement);
  }

  private static Raster picture(Row row, int column) {
    return PngCodec.decode((byte[]) row.getField(column));
  }

  @Test
  void aTextBecomesAPictureAndACallMaySayMore() throws Exception {
    sql.executeSql(LOAD);
    List<Row> rows =
        query(
            "SELECT TEXT_TO_IMAGE(prompt), TEXT_TO_IMAGE(prompt, MAP['seed', '7', 'width', '96'])"
                + " FROM (VALUES ('a red apple'), ('a blue moon')) AS p(prompt)");
    assertThat(rows).hasSize(2);
    for (Row row : rows) {
      assertThat(picture(row, 0).width()).isEqualTo(64);
      assertThat(picture(row, 1).width()).isEqualTo(96);
    }
    assertThat(picture(rows.get(0), 0).data()).isNotEqualTo(picture(rows.get(1), 0).data());
  }

  @Test
  void aCallBringsFurtherImages(@TempDir Path folder) throws Exception {
    FolderCase.ofPipeline("StableDiffusionControlNetPipeline").orElseThrow().write(folder);
    sql.executeSql(
        """
        LOAD MODULE diffusion WITH (
          'text-to-image.model.folder' = '%1$s', 'text-to-image.device' = 'cpu',
          'text-to-image.batch.rows' = '4', 'text-to-image.steps' = '2',
          'image-to-image.model.folder' = '%1$s', 'image-to-image.device' = 'cpu',
          'image-to-image.batch.rows' = '4', 'image-to-image.steps' = '2')
        """
            .formatted(folder));
    String dark = png(16, 0);
    String light = png(16, 1);
    Row row =
        query(
                """
                SELECT TEXT_TO_IMAGE('a table', MAP['seed', '7'], MAP['control-image', x'%1$s']),
                  TEXT_TO_IMAGE('a table', MAP['seed', '7'], MAP['control-image', x'%2$s']),
                  IMAGE_TO_IMAGE(x'%1$s', 'a table', MAP['seed', '7'],
                    MAP['control-image', x'%1$s', 'mask', x'%2$s']),
                  TEXT_TO_IMAGE('a table', MAP['seed', '7'], MAP['edges', x'%1$s'])
                """
                    .formatted(dark, light))
            .get(0);
    assertThat(picture(row, 0).width()).isEqualTo(16);
    assertThat(picture(row, 0).data()).isNotEqualTo(picture(row, 1).data());
    Audit audit = Audit.of(picture(row, 0).metadata()).orElseThrow();
    assertThat(audit.inputDigests())
        .isEqualTo(Map.of("controlImage", Sha256.hex(HexFormat.of().parseHex(dark))));
    assertThat(Audit.of(picture(row, 2).metadata()).orElseThrow().inputDigests())
        .containsOnlyKeys("controlImage", "image", "mask");
    assertThat(row.getField(3)).isNull();
  }

  @Test
  void picturesBecomePictures() throws Exception {
    sql.executeSql(LOAD);
    String small = png(16);
    String large = png(64);
    Row row =
        query(
                "SELECT UPSCALE(x'%s'), IMAGE_TO_IMAGE(x'%s', 'a red apple', MAP['strength', '0.5', 'steps', '4'])"
                    .formatted(small, large))
            .get(0);
    assertThat(picture(row, 0).width()).isEqualTo(64);
    assertThat(picture(row, 1).width()).isEqualTo(64);
    Audit upscaled = Audit.of(picture(row, 0).metadata()).orElseThrow();
    assertThat(upscaled.task()).isEqualTo("super-resolution");
    assertThat(upscaled.inputDigests())
        .isEqualTo(Map.of("image", Sha256.hex(HexFormat.of().parseHex(small))));
    assertThat(Audit.of(picture(row, 1).metadata()).orElseThrow().task())
        .isEqualTo("image-to-image");
  }

  private static String png(int side) {
    return png(side, 0.5f);
  }

  private static String png(int side, float value) {
    return HexFormat.of().formatHex(PngCodec.encode(Raster.filled(3, side, side, value)));
  }

  private static final String TO_IMAGE =
      "IMAGE_TO_IMAGE(x'%s', 'a red apple', MAP['strength', '0.5', 'steps', '2', 'guidance-scale',"
          + " '2'])";

  @Test
  void theSeedOfACallComesFromAllItsArgumentsAndFromNothingElse() throws Exception {
    sql.executeSql(LOAD);
    String ordered = TO_IMAGE.formatted(png(64));
    String otherwise =
        "IMAGE_TO_IMAGE(x'%s', 'a red apple', MAP['guidance-scale', '2', 'steps', '2', 'strength', '0.5'])"
            .formatted(png(64));
    Row row =
        query("SELECT %s, %s, %s".formatted(ordered, otherwise, TO_IMAGE.formatted(png(64, 0.25f))))
            .get(0);
    assertThat(seed(row, 1)).as("another order").isEqualTo(seed(row, 0));
    assertThat(seed(row, 2)).as("another image of the same size").isNotEqualTo(seed(row, 0));

    sql.executeSql(
        """
        CREATE MODEL painter INPUT (strength DOUBLE, image BYTES, prompt STRING) OUTPUT (seed BIGINT)
        WITH ('provider' = 'diffusion', 'model.folder' = '%s', 'device' = 'cpu', 'batch.rows' = '4',
          'guidance-scale' = '2', 'scheduler' = 'DDIMScheduler', 'steps' = '2')
        """
            .formatted(MODELS.resolve("tiny-sd1")));
    Row predicted =
        query(
                """
                SELECT seed FROM ML_PREDICT(
                  (SELECT CAST(0.5 AS DOUBLE) AS strength, x'%s' AS image, 'a red apple' AS prompt),
                  MODEL painter, DESCRIPTOR(strength, image, prompt))
                """
                    .formatted(png(64)))
            .get(0);
    assertThat(predicted.<Long>getFieldAs(0)).as("ML_PREDICT").isEqualTo(seed(row, 0));
  }

  private static long seed(Row row, int column) {
    return Audit.of(picture(row, column).metadata()).orElseThrow().arguments().get(Parameters.SEED);
  }

  @Test
  void aCallThatTakesTooLongGivesNullBeforeFlinkFailsTheJob() throws Exception {
    sql.getConfig().set("table.exec.async-scalar.timeout", "1 s");
    sql.executeSql(LOAD);
    assertThat(
            query(
                "SELECT TEXT_TO_IMAGE('a cat', MAP['steps', '900', 'width', '512', 'height',"
                    + " '512'])"))
        .containsExactly(Row.of((Object) null));
  }

  @Test
  void anImageOfAnyKindIsSegmentedWithAnUncertainty() throws Exception {
    sql.executeSql(
        """
        LOAD MODULE diffusion WITH (
          'segment.model.folder' = '%s', 'segment.device' = 'cpu', 'segment.batch.rows' = '4',
          'segment.steps' = '2', 'segment.ensemble-size' = '2')
        """
            .formatted(Path.of("../examples/models/mini-brain-mask").toAbsolutePath()));
    String tiff =
        HexFormat.of()
            .formatHex(
                Images.write(
                    Raster.filled(1, 40, 36, 0.5f).storedAs(SampleType.UINT16), "image/tiff"));
    Row both = (Row) query("SELECT SEGMENT(x'%s')".formatted(tiff)).get(0).getField(0);
    assertThat(
            query(
                "SELECT SEGMENT(image).mask FROM (VALUES (x'00'), (CAST(NULL AS BYTES))) AS"
                    + " p(image)"))
        .containsExactly(Row.of((Object) null), Row.of((Object) null));
    Raster mask = PngCodec.decode((byte[]) both.getField("mask"));
    assertThat(List.of(mask.channels(), mask.height(), mask.width())).containsExactly(1, 40, 36);
    assertThat(PngCodec.decode((byte[]) both.getField("uncertainty")).width()).isEqualTo(36);
    assertThat(Audit.of(mask.metadata()).orElseThrow().parameters())
        .containsEntry("ensembleSize", "2");
    Row one =
        (Row)
            query("SELECT SEGMENT(x'%s', MAP['ensemble-size', '1'])".formatted(tiff))
                .get(0)
                .getField(0);
    assertThat(one.getField("uncertainty")).isNull();
  }

  @Test
  void nullsAndWhatCanNotBeDoneGiveNull() throws Exception {
    sql.executeSql(LOAD);
    assertThat(
            query(
                "SELECT TEXT_TO_IMAGE(CAST(NULL AS STRING)), TEXT_TO_IMAGE('a cat', MAP['width',"
                    + " '7']), UPSCALE(x'00'), UPSCALE(CAST(NULL AS BYTES))"))
        .containsExactly(Row.of(null, null, null, null));
  }

  @Test
  void whatCanNotBeDoneFailsTheJobWhereItIsWanted() {
    sql.executeSql(
        LOAD.replace("'text-to-image.steps' = '2'", "'text-to-image.on-error' = 'FAIL'"));
    sql.getConfig().set("table.exec.async-scalar.retry-strategy", "NO_RETRY");
    sql.getConfig().set("restart-strategy.type", "fixed-delay");
    sql.getConfig().set("restart-strategy.fixed-delay.attempts", "1");
    assertThatThrownBy(() -> query("SELECT TEXT_TO_IMAGE('a cat', MAP['width', '7'])"))
        .hasStackTraceContaining("The failure is not recoverable")
        .hasStackTraceContaining("width is 7");
    assertThatThrownBy(() -> query("SELECT TEXT_TO_IMAGE('a cat', MAP['stepps', '3'])"))
        .hasStackTraceContaining(
            "TEXT_TO_IMAGE has unknown keys in its map: 'stepps' (did you mean 'steps'?)");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "'text-to-image.model.folder' = '/m', 'text-to-image.stepps' = '3' | unknown options after"
            + " 'text-to-image.': 'stepps' (did you mean 'steps'?)",
        "'texttoimage.model.folder' = '/m' | Unknown option 'texttoimage.model.folder'",
        "'upscale.steps' = '3' | The WITH clause lacks 'upscale.model.folder'",
        "'upscale.model.folder' = '/m', 'upscale.batch.rows' = '0' | Invalid value 0 for option"
            + " 'upscale.batch.rows': expected a number from 1.",
        "'upscale.model.folder' = '/m', 'upscale.batch.rows' = 'x' | Invalid value 'x' for option"
            + " 'upscale.batch.rows': expected a whole number from 1.",
        "'upscale.model.folder' = '/m', 'upscale.steps' = 'x' | Invalid value 'x' for option"
            + " 'steps'",
        "'upscale.model.folder' = '/m', 'upscale.on-error' = 'COLUMN' | Invalid value COLUMN for"
            + " option"
      })
  void aMisuseHasOneClearSentence(String options, String sentence) {
    assertThatThrownBy(() -> sql.executeSql("LOAD MODULE diffusion WITH (" + options + ")"))
        .hasStackTraceContaining(sentence);
  }
}
