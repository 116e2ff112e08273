package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.LogicalTypeRoot;

/** What a model's output may have as columns, by name. */
enum OutputColumn {
  /** The encoded picture. */
  IMAGE(LogicalTypeRoot.VARBINARY, "BYTES", result -> result.encoded()),
  /** Width in pixels. */
  WIDTH(LogicalTypeRoot.INTEGER, "INT", result -> result.image().image().width()),
  /** Height in pixels. */
  HEIGHT(LogicalTypeRoot.INTEGER, "INT", result -> result.image().image().height()),
  /** The seed that was used, given or derived. */
  SEED(LogicalTypeRoot.BIGINT, "BIGINT", result -> result.image().request().seed()),
  /** Inference steps that were used. */
  STEPS(LogicalTypeRoot.INTEGER, "INT", result -> result.image().request().steps()),
  /** The guidance scale that was used. */
  GUIDANCE_SCALE(
      LogicalTypeRoot.DOUBLE, "DOUBLE", result -> result.image().request().guidanceScale()),
  /** diffusers class name of the scheduler that was used. */
  SCHEDULER(
      LogicalTypeRoot.VARCHAR,
      "STRING",
      result -> StringData.fromString(result.image().request().scheduler())),
  /** Name of the model. */
  MODEL(LogicalTypeRoot.VARCHAR, "STRING", result -> StringData.fromString(result.audit().model())),
  /** SHA-256 over the model's weights and configs. */
  MODEL_DIGEST(
      LogicalTypeRoot.VARCHAR,
      "STRING",
      result -> StringData.fromString(result.audit().modelDigest())),
  /** Whether a text was longer than the model takes. */
  PROMPT_TRUNCATED(LogicalTypeRoot.BOOLEAN, "BOOLEAN", result -> result.image().promptTruncated()),
  /** Whether the safety checker blackened the picture. */
  FLAGGED(LogicalTypeRoot.BOOLEAN, "BOOLEAN", result -> result.image().flagged()),
  /** How the picture came about, as JSON; the picture's file holds the same text. */
  AUDIT(
      LogicalTypeRoot.VARCHAR, "STRING", result -> StringData.fromString(result.audit().toJson()));

  /**
   * A finished picture.
   *
   * @param encoded the picture as PNG
   * @param audit how it came about
   */
  record Result(GeneratedImage image, byte[] encoded, Audit audit) {}

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
