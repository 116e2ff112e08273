/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.SpreadWatermark;
import io.github.flinkdiffusion.ops.image.WatermarkKey;
import java.nio.file.Path;
import java.util.Locale;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.types.Row;

/** {@code IMAGE_WATERMARK(image, key_file)}: the watermark that the key reads, or NULL. */
@Internal
@FunctionHint(output = @DataTypeHint("ROW<payload STRING, score DOUBLE, scale DOUBLE>"))
public final class WatermarkFunction extends PlainFunction {
  private static final long serialVersionUID = 1L;

  private transient String file;
  private transient SpreadWatermark watermark;

  WatermarkFunction(boolean failing) {
    super("IMAGE_WATERMARK", failing);
  }

  public Row eval(byte[] image, String keyFile) {
    return image == null || keyFile == null ? null : valueOrNull(() -> watermark(image, keyFile));
  }

  private Row watermark(byte[] image, String keyFile) {
    if (!keyFile.equals(file)) {
      watermark = new SpreadWatermark(WatermarkKey.read(Path.of(keyFile)));
      file = keyFile;
    }
    return watermark
        .read(read(image), SpreadWatermark.Search.COMMON)
        .map(
            found ->
                Row.of(
                    String.format(Locale.ROOT, "%012x", found.payload()),
                    found.score(),
                    found.scale()))
        .orElse(null);
  }
}
