/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.Audit;
import java.util.OptionalInt;
import org.apache.flink.annotation.Internal;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.types.Row;

/** {@code IMAGE_INFO(image)}: what a file says of its picture. */
@Internal
@FunctionHint(
    output =
        @DataTypeHint(
            "ROW<media_type STRING, width INT, height INT, bands INT, sample_type STRING, black DOUBLE, white DOUBLE, epsg INT, audit STRING>"))
public final class ImageInfoFunction extends PlainFunction {
  private static final long serialVersionUID = 1L;

  ImageInfoFunction(boolean failing) {
    super("IMAGE_INFO", failing);
  }

  public Row eval(byte[] image) {
    return image == null ? null : valueOrNull(() -> info(image));
  }

  private static Row info(byte[] file) {
    Raster picture = read(file);
    PixelFormat format = picture.format();
    OptionalInt epsg =
        picture.metadata().georeference().map(place -> place.epsg()).orElse(OptionalInt.empty());
    return Row.of(
        Images.mediaType(file).orElseThrow(),
        picture.width(),
        picture.height(),
        picture.channels(),
        format.type().name(),
        format.range().low(),
        format.range().high(),
        epsg.isPresent() ? epsg.getAsInt() : null,
        picture.metadata().texts().get(Audit.KEYWORD));
  }
}
