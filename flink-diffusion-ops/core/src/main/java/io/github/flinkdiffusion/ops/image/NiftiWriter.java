package io.github.flinkdiffusion.ops.image;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Writes an image as a NIfTI-1 volume of one slice, which lies where its source does: gray values
 * in their own numbers, or RGB of 8 bits. The texts, such as the audit record, are an extension of
 * the header (code 6, a comment).
 */
final class NiftiWriter {
  private static final int COMMENT = 6;
  private static final ObjectMapper JSON = new ObjectMapper();

  private NiftiWriter() {}

  static byte[] write(Raster image) {
    PixelFormat format = image.format();
    boolean color = format.bands() == Bands.RGB;
    if (!color && format.bands() != Bands.GRAY) {
      throw new ImageException(
          "%s of %s cannot be a NIfTI file, which holds gray or RGB"
              .formatted(image, format.bands()));
    }
    if (image.width() > Short.MAX_VALUE || image.height() > Short.MAX_VALUE) {
      throw new ImageException(
          image + " is too large for a NIfTI-1 file, whose sides are at most 32767");
    }
    byte[] comment = comment(image.metadata());
    int start = NiftiHeader.SIZE_1 + 4 + comment.length;
    int type =
        color
            ? 128
            : switch (format.type()) {
              case UINT8 -> 2;
              case INT16 -> 4;
              case UINT16 -> 512;
              case FLOAT32 -> 16;
            };
    int size = color ? 3 : format.type().bits() / 8;
    int pixels = image.width() * image.height();
    ByteBuffer file =
        ByteBuffer.allocate(Math.addExact(start, Math.multiplyExact(size, pixels)))
            .order(ByteOrder.LITTLE_ENDIAN);
    header(file, image, type, color ? 24 : 8 * size, start);
    file.put(NiftiHeader.SIZE_1, (byte) (comment.length > 0 ? 1 : 0));
    file.put(NiftiHeader.SIZE_1 + 4, comment);
    file.position(start);
    for (int i = 0; i < pixels; i++) {
      if (color) {
        for (int c = 0; c < 3; c++) {
          double unit = Math.max(0, Math.min(1, image.data()[c * pixels + i]));
          file.put((byte) Math.rint(255 * unit));
        }
        continue;
      }
      boolean missing = image.noData().isPresent() && image.noData().get().isMissing(i);
      double value = missing ? format.noDataSample() : format.sample(image.data()[i]);
      switch (format.type()) {
        case UINT8 -> file.put((byte) value);
        case INT16, UINT16 -> file.putShort((short) (int) value);
        case FLOAT32 -> file.putFloat((float) value);
      }
    }
    return file.array();
  }

  private static void header(ByteBuffer file, Raster image, int type, int bits, int start) {
    file.putInt(0, NiftiHeader.SIZE_1);
    file.putShort(40, (short) 3).putShort(42, (short) image.width());
    file.putShort(44, (short) image.height());
    for (int axis = 3; axis < 8; axis++) {
      file.putShort(40 + 2 * axis, (short) 1);
    }
    file.putShort(70, (short) type).putShort(72, (short) bits);
    PixelSpacing spacing = image.metadata().spacing().orElse(new PixelSpacing(1, 1));
    double thickness = thickness(image.metadata());
    file.putFloat(76, 1);
    file.putFloat(80, (float) spacing.x());
    file.putFloat(84, (float) spacing.y());
    file.putFloat(88, (float) thickness);
    file.putFloat(108, start).putFloat(112, 1);
    ValueRange range = image.format().range();
    if (!range.descending() && type != 128) {
      file.putFloat(124, (float) range.high()).putFloat(128, (float) range.low());
    }
    boolean placed = image.metadata().medical().flatMap(MedicalSource::place).isPresent();
    file.put(123, (byte) (image.metadata().spacing().isPresent() ? 2 : 0));
    if (placed) {
      SlicePlace place = image.metadata().medical().orElseThrow().place().orElseThrow();
      // NIfTI counts to the right and the front, DICOM to the left and the back.
      double[] row = world(place.alongRow());
      double[] column = world(place.alongColumn());
      double[] origin = world(place.position());
      double[] across = {
        row[1] * column[2] - row[2] * column[1],
        row[2] * column[0] - row[0] * column[2],
        row[0] * column[1] - row[1] * column[0]
      };
      file.putShort(254, (short) 1);
      for (int i = 0; i < 3; i++) {
        file.putFloat(280 + 16 * i, (float) (row[i] * spacing.x()));
        file.putFloat(284 + 16 * i, (float) (column[i] * spacing.y()));
        file.putFloat(288 + 16 * i, (float) (across[i] * thickness));
        file.putFloat(292 + 16 * i, (float) origin[i]);
      }
    }
    file.put(344, "n+1\0".getBytes(StandardCharsets.ISO_8859_1));
  }

  private static double thickness(ImageMetadata metadata) {
    try {
      double thickness =
          Double.parseDouble(metadata.medical().map(m -> m.attribute(0x00180050)).orElse(""));
      return thickness > 0 && thickness < 1e6 ? thickness : 1;
    } catch (NumberFormatException e) {
      return 1;
    }
  }

  private static double[] world(SlicePlace.Vector vector) {
    return new double[] {-vector.x(), -vector.y(), vector.z()};
  }

  private static byte[] comment(ImageMetadata metadata) {
    if (metadata.texts().isEmpty()) {
      return new byte[0];
    }
    try {
      byte[] text = JSON.writeValueAsBytes(metadata.texts());
      int length = text.length + 8 + 15 & ~15;
      return ByteBuffer.allocate(length)
          .order(ByteOrder.LITTLE_ENDIAN)
          .putInt(length)
          .putInt(COMMENT)
          .put(text)
          .array();
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }
}
