/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.Composition;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.serving.GenerationService;
import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.LogicalTypeRoot;

/** What a model's output may have as columns, by name. */
enum OutputColumn {
  /** The picture as a PNG file; null of a model that writes texts. */
  IMAGE(
      LogicalTypeRoot.VARBINARY,
      "BYTES",
      result ->
          result
              .picture()
              .map(picture -> result.service().encode(picture, result.answer().audit()))
              .orElse(null)),
  /** Of a segmentation, the mask as a PNG file; null of others. */
  MASK(
      LogicalTypeRoot.VARBINARY,
      "BYTES",
      result ->
          result.answer().mask().map(mask -> result.encoded(mask, Composition.MASK)).orElse(null)),
  /** Of an ensemble, how much its samples differ, as a PNG file; null of one sample. */
  UNCERTAINTY(
      LogicalTypeRoot.VARBINARY,
      "BYTES",
      result ->
          result
              .answer()
              .uncertainty()
              .map(spread -> result.encoded(spread, Composition.UNCERTAINTY))
              .orElse(null)),
  /** Width in pixels. */
  WIDTH(LogicalTypeRoot.INTEGER, "INT", result -> result.picture().map(Raster::width).orElse(null)),
  /** Height in pixels. */
  HEIGHT(
      LogicalTypeRoot.INTEGER, "INT", result -> result.picture().map(Raster::height).orElse(null)),
  /** The seed that was used, given or derived. */
  SEED(LogicalTypeRoot.BIGINT, "BIGINT", result -> result.request().seed()),
  /** Inference steps that were used. */
  STEPS(LogicalTypeRoot.INTEGER, "INT", result -> result.answer().audit().steps()),
  /** The guidance scale that was used. */
  GUIDANCE_SCALE(LogicalTypeRoot.DOUBLE, "DOUBLE", result -> result.request().guidanceScale()),
  /** diffusers class name of the scheduler that was used. */
  SCHEDULER(
      LogicalTypeRoot.VARCHAR,
      "STRING",
      result -> StringData.fromString(result.request().scheduler())),
  /** Name of the model. */
  MODEL(
      LogicalTypeRoot.VARCHAR,
      "STRING",
      result -> StringData.fromString(result.answer().audit().model())),
  /** SHA-256 over the model's weights and configs. */
  MODEL_DIGEST(
      LogicalTypeRoot.VARCHAR,
      "STRING",
      result -> StringData.fromString(result.answer().audit().modelDigest())),
  /** Whether a text was longer than the model takes. */
  PROMPT_TRUNCATED(
      LogicalTypeRoot.BOOLEAN, "BOOLEAN", result -> result.answer().first().promptTruncated()),
  /** Whether the safety checker blackened the picture. */
  FLAGGED(LogicalTypeRoot.BOOLEAN, "BOOLEAN", result -> result.answer().flagged()),
  /** How the picture came about, as JSON; the picture's file holds the same text. */
  AUDIT(
      LogicalTypeRoot.VARCHAR,
      "STRING",
      result -> StringData.fromString(result.answer().audit().toJson())),
  /** How sure a model that labels images is of its label, 0 to 1; null of others. */
  SCORE(
      LogicalTypeRoot.FLOAT,
      "FLOAT",
      result ->
          result.answer().first().text().map(text -> text.shares().get(text.text())).orElse(null)),
  /**
   * The text of a model that writes one, or the label of one that labels images; null of others.
   */
  TEXT(
      LogicalTypeRoot.VARCHAR,
      "STRING",
      result ->
          result
              .answer()
              .first()
              .text()
              .map(text -> StringData.fromString(text.text()))
              .orElse(null));

  /**
   * What a row's columns are made of.
   *
   * @param service which encodes; only what there is a column for
   */
  record Result(Answer answer, GenerationService service) {
    private byte[] encoded(Raster raster, String which) {
      return service.encode(raster, answer.audit(), which);
    }

    /** Empty of a model that writes texts. */
    private Optional<Raster> picture() {
      return Optional.ofNullable(answer.picture());
    }

    private GenerationRequest request() {
      return answer.first().request();
    }
  }

  private final LogicalTypeRoot type;
  private final String sqlType;
  private final Function<Result, Object> value;

  OutputColumn(LogicalTypeRoot type, String sqlType, Function<Result, Object> value) {
    this.type = type;
    this.sqlType = sqlType;
    this.value = value;
  }

  static Optional<OutputColumn> named(String column) {
    return Arrays.stream(values()).filter(each -> each.column().equals(column)).findFirst();
  }

  String column() {
    return name().toLowerCase(Locale.ROOT);
  }

  LogicalTypeRoot type() {
    return type;
  }

  String sqlType() {
    return sqlType;
  }

  /** In Flink's internal representation. */
  Object value(Result result) {
    return value.apply(result);
  }
}
