/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.ImageKind;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.table.data.RowData;

/**
 * From a row to the file that it becomes.
 *
 * @param image column of the image
 * @param problem column that says why there is no image; -1 without one
 * @param caption column of the text on the contact sheet; -1 without one
 */
record ImageRows(FileName name, int image, int problem, int caption) implements Serializable {

  /** Whatever is in such a file is kept, but no program opens it by its ending. */
  private static final String UNKNOWN = "bin";

  private static final Map<ImageKind, String> ENDINGS =
      Map.of(
          ImageKind.PNG, "png",
          ImageKind.JPEG, "jpg",
          ImageKind.TIFF, "tif",
          ImageKind.WEBP, "webp",
          ImageKind.GIF, "gif",
          ImageKind.BMP, "bmp",
          ImageKind.DICOM, "dcm",
          ImageKind.NIFTI, "nii");

  /**
   * A file to be written.
   *
   * @param name below the folder
   * @param caption on the contact sheet; null for a file that is no image
   */
  record File(String name, byte[] content, String caption) {}

  /** Empty for a row without an image whose file would have the image's digest as its name. */
  Optional<File> file(RowData row) {
    byte[] content = row.isNullAt(image) ? null : row.getBinary(image);
    if (content == null) {
      if (name.needsImage()) {
        return Optional.empty();
      }
      String reason = text(row, problem);
      String said = reason == null ? "The row has no image." : reason;
      return Optional.of(
          new File(
              name.of(row, null) + ".txt", (said + "\n").getBytes(StandardCharsets.UTF_8), null));
    }
    Optional<ImageKind> kind =
        ImageKind.of(Arrays.copyOf(content, Math.min(content.length, ImageKind.HEAD_BYTES)));
    String base = name.of(row, content);
    String said = text(row, caption);
    return Optional.of(
        new File(
            base + "." + kind.map(known -> ending(known, content)).orElse(UNKNOWN),
            content,
            kind.isEmpty() ? null : said == null ? base : said));
  }

  private static String ending(ImageKind kind, byte[] content) {
    boolean packed = content.length > 1 && content[0] == 0x1F && (content[1] & 0xFF) == 0x8B;
    return ENDINGS.get(kind) + (kind == ImageKind.NIFTI && packed ? ".gz" : "");
  }

  private static String text(RowData row, int column) {
    return column < 0 || row.isNullAt(column) ? null : row.getString(column).toString();
  }
}
