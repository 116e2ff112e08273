/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static io.github.flinkdiffusion.ops.table.SqlOnFlink.query;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Captions and answers in SQL. */
class TextFunctionsITCase {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/text").toAbsolutePath();

  private static final Path CLIP =
      Path.of("src/test/resources/fixtures/classifier/tiny-clip").toAbsolutePath();

  @RegisterExtension private static final MiniClusterExtension FLINK = SqlOnFlink.cluster();

  private static String png(float red) {
    float[] values = new float[3 * 20 * 24];
    for (int i = 0; i < values.length; i++) {
      values[i] = i < 480 ? red : i % 17 / 20f;
    }
    return HexFormat.of().formatHex(PngCodec.encode(new Raster(3, 20, 24, values)));
  }

  @Test
  void imagesAreDescribedAndAskedAbout() throws Exception {
    TableEnvironment sql = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    sql.getConfig().set("parallelism.default", "1");
    sql.executeSql(
        """
        LOAD MODULE diffusion WITH (
          'caption.model.folder' = '%s', 'caption.device' = 'cpu', 'caption.batch.rows' = '8',
          'caption.max-new-tokens' = '6',
          'answer.model.folder' = '%s', 'answer.device' = 'cpu', 'answer.batch.rows' = '8',
          'answer.max-new-tokens' = '6')
        """
            .formatted(MODELS.resolve("tiny-blip-caption"), MODELS.resolve("tiny-blip-vqa")));
    Row row =
        query(
                sql,
                """
                SELECT CAPTION(image), CAPTION(image, MAP['prompt', 'a photo of', 'num-beams', '3']),
                  ANSWER(image, 'what color is the cube?')
                FROM (VALUES (x'%s')) AS p(image)
                """
                    .formatted(png(0.8f)))
            .get(0);
    assertThat((String) row.getField(0)).isNotNull();
    assertThat((String) row.getField(1)).startsWith("a photo of");
    assertThat((String) row.getField(2)).isNotBlank();

    // Neither bytes that are no image, nor a value out of its range. By itself: a NULL text that
    // Flink passes by another asynchronous call of the same SELECT becomes an empty one.
    assertThat(
            query(
                sql,
                "SELECT CAPTION(image, MAP['top-p', p]) FROM (VALUES (x'00', '1'), (x'%s', '7')) AS v(image, p)"
                    .formatted(png(0.8f))))
        .containsExactly(Row.of((Object) null), Row.of((Object) null));

    sql.executeSql(
        """
        CREATE MODEL describer INPUT (image BYTES, prompt STRING)
        OUTPUT (text STRING, width INT, `error-string` STRING)
        WITH ('provider' = 'diffusion', 'model.folder' = '%s', 'device' = 'cpu', 'batch.rows' = '8',
          'max-new-tokens' = '6', 'num-beams' = '3')
        """
            .formatted(MODELS.resolve("tiny-blip-caption")));
    Row predicted =
        query(
                sql,
                """
                SELECT text, width, `error-string` FROM ML_PREDICT(
                  (SELECT x'%s' AS image, 'a photo of' AS prompt),
                  MODEL describer, DESCRIPTOR(image, prompt))
                """
                    .formatted(png(0.8f)))
            .get(0);
    assertThat(predicted.getField(0)).isEqualTo(row.getField(1));
    assertThat(predicted.getField(1)).isNull();
    assertThat(predicted.getField(2)).isNull();

    // A model that reads several images has a column for each.
    sql.executeSql(
        """
        CREATE MODEL comparer INPUT (image BYTES, image_2 BYTES, prompt STRING)
        OUTPUT (text STRING, `error-string` STRING)
        WITH ('provider' = 'diffusion', 'model.folder' = '%s', 'device' = 'cpu', 'batch.rows' = '8',
          'max-new-tokens' = '6')
        """
            .formatted(MODELS.resolve("tiny-idefics3")));
    List<Row> compared =
        query(
            sql,
            """
            SELECT text, `error-string` FROM ML_PREDICT(
              (SELECT image, image_2, 'which is darker?' AS prompt
                FROM (VALUES (x'%1$s', x'%2$s'), (x'%1$s', CAST(NULL AS BYTES))) AS p(image, image_2)),
              MODEL comparer, DESCRIPTOR(image, image_2, prompt))
            """
                .formatted(png(0.8f), png(0.3f)));
    assertThat(compared).hasSize(2).allMatch(answer -> answer.getField(1) == null);
    assertThat(compared).extracting(answer -> answer.getField(0)).doesNotContainNull();

    // A model of images and texts writes a text where the mode says so, or follows from an image.
    Path joint = Path.of("src/test/resources/fixtures/models/tiny-unidiffuser").toAbsolutePath();
    String created =
        """
        CREATE MODEL %s INPUT (%s) OUTPUT (text STRING, `error-string` STRING)
        WITH ('provider' = 'diffusion', 'model.folder' = '%s', 'device' = 'cpu', 'batch.rows' = '8',
          'steps' = '3', 'seed' = '20', 'mode' = '%s')
        """;
    sql.executeSql(created.formatted("looking", "image BYTES", joint, "img2text"));
    sql.executeSql(created.formatted("dreaming", "id STRING", joint, "text"));
    Row looking =
        query(
                sql,
                "SELECT text, `error-string` FROM ML_PREDICT((SELECT x'%s' AS image), MODEL looking, DESCRIPTOR(image))"
                    .formatted(png(0.8f)))
            .get(0);
    Row dreaming =
        query(
                sql,
                "SELECT text, `error-string` FROM ML_PREDICT((SELECT 'a' AS id), MODEL dreaming,"
                    + " DESCRIPTOR(id))")
            .get(0);
    assertThat(looking.getField(1)).isNull();
    assertThat(dreaming.getField(1)).isNull();
    assertThat((String) looking.getField(0)).isNotEmpty();
    assertThat((String) dreaming.getField(0)).isNotEmpty().isNotEqualTo(looking.getField(0));
  }

  @Test
  void imagesAreLabelled() throws Exception {
    TableEnvironment sql = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    sql.getConfig().set("parallelism.default", "1");
    sql.executeSql(
        """
        LOAD MODULE diffusion WITH (
          'label.model.folder' = '%s', 'label.device' = 'cpu', 'label.batch.rows' = '8')
        """
            .formatted(CLIP));
    Row label =
        (Row)
            query(
                    sql,
                    """
                    SELECT LABEL(image, ARRAY['apple', 'sea'], MAP['label-template', 'a drawing of {}'])
                    FROM (VALUES (x'%s')) AS p(image)
                    """
                        .formatted(png(0.8f)))
                .get(0)
                .getField(0);
    Map<String, Float> scores = label.getFieldAs("scores");
    assertThat(scores).containsOnlyKeys("apple", "sea");
    assertThat(scores.get("apple") + scores.get("sea")).isCloseTo(1, within(1e-5f));
    assertThat((Float) label.getField("score")).isEqualTo(Collections.max(scores.values()));
    assertThat(scores.get(label.<String>getFieldAs("label"))).isEqualTo(label.getField("score"));

    assertThat(
            query(
                sql,
                """
                SELECT l.label, l.score, l.scores FROM (SELECT LABEL(image, labels) AS l FROM
                  (VALUES (x'%s', ARRAY['sea', 'sea']), (x'00', ARRAY['sea']), (CAST(NULL AS BYTES), ARRAY['sea'])) AS p(image, labels))
                """
                    .formatted(png(0.8f))))
        .containsExactly(new Row(3), new Row(3), new Row(3));

    // Pictures by a label, with the function.
    String filter =
        """
        SELECT id FROM (SELECT id, LABEL(image, ARRAY['apple', 'sea']) AS l
          FROM (VALUES ('a', x'%s')) AS p(id, image))
        WHERE l.label = '%s' AND l.score > 0.5
        """;
    Row best =
        (Row)
            query(
                    sql,
                    "SELECT LABEL(image, ARRAY['apple', 'sea']) FROM (VALUES (x'%s')) AS p(image)"
                        .formatted(png(0.8f)))
                .get(0)
                .getField(0);
    assertThat(query(sql, filter.formatted(png(0.8f), best.getField("label"))))
        .containsExactly(Row.of("a"));
    assertThat(query(sql, filter.formatted(png(0.8f), "no label"))).isEmpty();
  }
}
