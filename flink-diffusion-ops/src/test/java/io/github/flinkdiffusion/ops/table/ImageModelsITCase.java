/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.imaging.Audit;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HexFormat;
import java.util.List;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Models that make pictures of pictures, in {@code ML_PREDICT}. */
class ImageModelsITCase {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures/models");
  private static final Path EXAMPLES = Path.of("../examples/models");

  /** Of mini-brain-mask's sample. */
  private static final int HEIGHT = 112;

  private static final int WIDTH = 96;
  private static final String COLUMNS =
      "image BYTES, mask BYTES, uncertainty BYTES, width INT, height INT, audit STRING,"
          + " `error-string` STRING";

  @RegisterExtension private static final MiniClusterExtension FLINK = SqlOnFlink.cluster();

  private TableEnvironment sql;

  @BeforeEach
  void newSession() {
    sql = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    sql.getConfig().set("parallelism.default", "1");
  }

  private void model(String input, Path folder, String... options) {
    StringBuilder with =
        new StringBuilder("'provider' = 'diffusion', 'device' = 'cpu', 'batch.rows' = '4'");
    with.append(", 'model.folder' = '").append(folder.toAbsolutePath()).append("'");
    for (String option : options) {
      with.append(", ").append(option);
    }
    sql.executeSql(
        "CREATE MODEL m INPUT (%s) OUTPUT (%s) WITH (%s)".formatted(input, COLUMNS, with));
  }

  /** The model's outputs for one row. */
  private Row predict(String row, String config) throws Exception {
    sql.executeSql("DROP TEMPORARY VIEW IF EXISTS scenes");
    sql.executeSql("CREATE TEMPORARY VIEW scenes AS SELECT " + row);
    String columns = row.replaceAll("[^,]* AS (\\w+)", "$1");
    List<Row> rows = new ArrayList<>();
    try (CloseableIterator<Row> results =
        sql.executeSql(
                "SELECT p.* FROM ML_PREDICT(TABLE scenes, MODEL m, DESCRIPTOR(%s)%s) AS p"
                    .formatted(columns, config.isEmpty() ? "" : ", MAP[" + config + "]"))
            .collect()) {
      results.forEachRemaining(rows::add);
    }
    assertThat(rows).hasSize(1);
    return rows.get(0);
  }

  /** By its place from the end: a column that the input has, too, is named otherwise. */
  private static <T> T output(Row row, int fromTheEnd) {
    return row.getFieldAs(row.getArity() - fromTheEnd);
  }

  private static byte[] image(Row row) {
    assertThat(ImageModelsITCase.<String>output(row, 1)).isNull();
    return output(row, 7);
  }

  private static byte[] mask(Row row) {
    return output(row, 6);
  }

  private static byte[] uncertainty(Row row) {
    return output(row, 5);
  }

  private static String file(Raster raster, String mediaType) {
    return "x'" + HexFormat.of().formatHex(Images.write(raster, mediaType)) + "'";
  }

  private byte[] function(String call) throws Exception {
    try (CloseableIterator<Row> results = sql.executeSql("SELECT " + call).collect()) {
      return results.next().getFieldAs(0);
    }
  }

  @Test
  void aSegmentationHasAMaskAndAnEnsembleAnUncertainty() throws Exception {
    Path brain = EXAMPLES.resolve("mini-brain-mask");
    model("id STRING, image BYTES", brain, "'steps' = '2'", "'ensemble-size' = '3'");
    String slice = file(slice().storedAs(SampleType.UINT16), "image/tiff");
    Row three = predict("'s' AS id, %s AS image".formatted(slice), "'seed', '7'");
    Raster mask = PngCodec.decode(mask(three));
    assertThat(List.of(mask.channels(), mask.height(), mask.width()))
        .containsExactly(1, HEIGHT, WIDTH);
    assertThat(mask.data()).contains(0, 1);
    Raster likely = PngCodec.decode(image(three));
    assertThat(likely.format().type()).isEqualTo(SampleType.UINT16);
    for (int i = 0; i < mask.data().length; i++) {
      assertThat(mask.data()[i]).isEqualTo(likely.data()[i] >= 0.5f ? 1f : 0f);
    }
    Raster differing = PngCodec.decode(uncertainty(three));
    assertThat(differing.metadata().texts()).containsEntry(Audit.RESULT, "uncertainty");
    assertThat(mask.metadata().texts()).containsEntry(Audit.RESULT, "mask");
    assertThat(Audit.parse(output(three, 2)).parameters()).containsEntry("ensembleSize", "3");

    Row one = predict("'s' AS id, %s AS image".formatted(slice), "'ensemble-size', '1'");
    assertThat(mask(one)).isNotNull();
    assertThat(uncertainty(one)).isNull();

    sql.executeSql(
        "LOAD MODULE diffusion WITH ('segment.model.folder' = '%s', 'segment.device' = 'cpu', 'segment.batch.rows' = '4', 'segment.steps' = '2', 'segment.ensemble-size' = '3')"
            .formatted(brain.toAbsolutePath()));
    assertThat(function("SEGMENT(%s, MAP['seed', '7']).mask".formatted(slice)))
        .isEqualTo(mask(three));
  }

  /** Without data in the upper left corner of some pixels. */
  private static Raster cornerless(Raster image, int side) {
    BitSet missing = new BitSet();
    for (int c = 0; c < image.channels(); c++) {
      for (int y = 0; y < side; y++) {
        int row = (c * image.height() + y) * image.width();
        missing.set(row, row + side);
      }
    }
    return image
        .withFormat(PixelFormat.of(image.format().bands(), SampleType.UINT16).withNoData(0))
        .withNoData(missing);
  }

  private static void assertCornerIsClear(byte[] png, int side) {
    Raster image = PngCodec.decode(png);
    int alpha = image.channels() - 1;
    assertThat(image.format().bands().hasAlpha()).isTrue();
    for (int y = 0; y < image.height(); y++) {
      for (int x = 0; x < image.width(); x++) {
        assertThat(image.at(alpha, y, x)).isEqualTo(x < side && y < side ? 0f : 1f);
      }
    }
  }

  @Test
  void whatHoldsNoDataHoldsNoneInAnyResult() throws Exception {
    Path satellite = EXAMPLES.resolve("mini-satellite-x4");
    model("image BYTES", satellite, "'steps' = '1'", "'seed' = '7'", "'ensemble-size' = '2'");
    String scene = file(cornerless(Raster.filled(3, 16, 24, 0.5f), 5), "image/tiff");
    Row row = predict(scene + " AS image", "");
    assertCornerIsClear(image(row), 20);
    assertCornerIsClear(uncertainty(row), 20);
    sql.executeSql(
        "LOAD MODULE diffusion WITH ('upscale.model.folder' = '%s', 'upscale.device' = 'cpu', 'upscale.batch.rows' = '4', 'upscale.steps' = '1', 'upscale.seed' = '7', 'upscale.ensemble-size' = '2', 'segment.model.folder' = '%s', 'segment.device' = 'cpu', 'segment.steps' = '1')"
            .formatted(
                satellite.toAbsolutePath(), EXAMPLES.resolve("mini-brain-mask").toAbsolutePath()));
    assertThat(function("UPSCALE(%s)".formatted(scene))).isEqualTo(image(row));
    String slice = file(cornerless(slice(), 7), "image/tiff");
    assertCornerIsClear(function("SEGMENT(%s).mask".formatted(slice)), 7);
  }

  /** Of a head, as large as the network's sample. */
  private static Raster slice() throws IOException {
    Path slice = EXAMPLES.resolve("mini-brain-mask/inputs/slice-60.png");
    return FloatResize.resize(
        PngCodec.decode(Files.readAllBytes(slice)), HEIGHT, WIDTH, PilResize.Filter.BILINEAR);
  }

  @Test
  void aBrightDiscIsNoBrain() throws Exception {
    model(
        "image BYTES",
        EXAMPLES.resolve("mini-brain-mask"),
        "'steps' = '1'",
        "'ensemble-size' = '4'");
    float[] values = new float[HEIGHT * WIDTH];
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.hypot(i / WIDTH - 56, i % WIDTH - 48) < 30 ? 0.9f : 0.1f;
    }
    Row row = predict(file(new Raster(1, HEIGHT, WIDTH, values), "image/png") + " AS image", "");
    assertThat(PngCodec.decode(mask(row)).data()).containsOnly(0);
    assertThat(PngCodec.decode(image(row)).data()).containsOnly(0);
  }

  @Test
  void anUpscalerEnlargesAnImageOfOtherBands() throws Exception {
    Path satellite = EXAMPLES.resolve("mini-satellite-x4");
    model("image BYTES", satellite, "'steps' = '2'", "'seed' = '7'");
    String gray = file(Raster.filled(1, 16, 24, 0.5f), "image/png");
    Row row = predict(gray + " AS image", "");
    assertThat(ImageModelsITCase.<Integer>output(row, 4)).isEqualTo(96);
    assertThat(ImageModelsITCase.<Integer>output(row, 3)).isEqualTo(64);
    assertThat(PngCodec.decode(image(row)).width()).isEqualTo(96);
    assertThat(mask(row)).isNull();
    assertThat(uncertainty(row)).isNull();
    assertThat(Audit.parse(output(row, 2)).task()).isEqualTo("super-resolution");

    sql.executeSql(
        "LOAD MODULE diffusion WITH ('upscale.model.folder' = '%s', 'upscale.device' = 'cpu', 'upscale.batch.rows' = '4', 'upscale.steps' = '2', 'upscale.seed' = '7')"
            .formatted(satellite.toAbsolutePath()));
    assertThat(function("UPSCALE(%s)".formatted(gray))).isEqualTo(image(row));
  }

  @Test
  void whereAMaskIsWhiteThePictureIsMadeAnew() throws Exception {
    model(
        "prompt STRING, image BYTES, mask BYTES",
        FIXTURES.resolve("tiny-inpaint"),
        "'steps' = '2'");
    String color = file(Raster.filled(3, 64, 64, 1), "image/png");
    Row row =
        predict(
            "'a red apple' AS prompt, %s AS image, %s AS mask"
                .formatted(file(Raster.filled(3, 64, 64, 0.5f), "image/png"), color),
            "");
    assertThat(PngCodec.decode(image(row)).width()).isEqualTo(64);
    assertThat(Audit.parse(output(row, 2)).inputDigests()).containsOnlyKeys("image", "mask");
  }

  @Test
  void depthsAreSixteenBitsAndComparedBeforeTheyAreAveraged() throws Exception {
    model(
        "image BYTES",
        FIXTURES.resolve("tiny-marigold-depth"),
        "'steps' = '1'",
        "'ensemble-size' = '2'");
    Row row = predict(file(Raster.filled(3, 64, 64, 0.5f), "image/png") + " AS image", "");
    Raster depth = PngCodec.decode(image(row));
    assertThat(depth.channels()).isEqualTo(1);
    assertThat(depth.format().type()).isEqualTo(SampleType.UINT16);
    float most = 0;
    for (float value : depth.data()) {
      most = Math.max(most, value);
    }
    assertThat(most).isEqualTo(1); // stretched to 0..1, which a plain mean is not
    assertThat(uncertainty(row)).isNotNull();
  }

  @Test
  void aDamagedImageIsARowThatSaysWhy() throws Exception {
    model("image BYTES", EXAMPLES.resolve("mini-brain-mask"), "'steps' = '2'");
    Row row = predict("x'00' AS image", "");
    assertThat(ImageModelsITCase.<byte[]>output(row, 7)).isNull();
    assertThat(ImageModelsITCase.<String>output(row, 1)).contains("1 bytes");
  }

  @Test
  void aRowMaySayHowManySamplesItHas() throws Exception {
    model("image BYTES, ensemble_size INT", EXAMPLES.resolve("mini-brain-mask"), "'steps' = '2'");
    String slice = file(slice(), "image/png");
    assertThat(uncertainty(predict(slice + " AS image, 2 AS ensemble_size", ""))).isNotNull();
    assertThat(
            ImageModelsITCase.<String>output(
                predict(slice + " AS image, 65 AS ensemble_size", ""), 1))
        .isEqualTo("ensemble_size is 65; it must be from 1 to 64.");
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "65", "many"})
  void anEnsembleHasOneToSixtyFourSamples(String size) {
    model("image BYTES", EXAMPLES.resolve("mini-brain-mask"));
    String sentence =
        "Invalid value '%s' for option 'ensemble-size': expected a number from 1 to 64."
            .formatted(size);
    assertThatThrownBy(() -> predict("x'00' AS image", "'ensemble-size', '" + size + "'"))
        .hasStackTraceContaining(sentence);
    String module =
        "LOAD MODULE diffusion WITH ('upscale.model.folder' = '/models/any', 'upscale.ensemble-size' = '%s')"
            .formatted(size);
    assertThatThrownBy(() -> sql.executeSql(module)).hasStackTraceContaining(sentence);
  }
}
