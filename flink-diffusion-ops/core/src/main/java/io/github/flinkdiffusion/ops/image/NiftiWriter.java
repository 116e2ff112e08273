/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * Writes an image as a NIfTI-1 volume of one slice, which lies where its source does ({@link
 * NiftiVolumeFile} writes several): gray values in their own numbers, or RGB of 8 bits. The texts,
 * such as the audit record, are an extension of the header (code 6, a comment).
 */
final class NiftiWriter {
  private static final int COMMENT = 6;
  private static final ObjectMapper JSON = new ObjectMapper();

  private NiftiWriter() {}

  static byte[] write(Raster image) {
    requirePossible(image);
    PixelFormat format = image.format();
    byte[] head =
        head(
            image.width(),
            image.height(),
            format,
            image.metadata(),
            new Stack(1, Optional.empty()));
    ByteBuffer file =
        ByteBuffer.allocate(Math.addExact(head.length, bytes(image)))
            .order(ByteOrder.LITTLE_ENDIAN)
            .put(head);
    put(image, file);
    return file.array();
  }

  static void requirePossible(Raster image) {
    Bands bands = image.format().bands();
    if (bands != Bands.RGB && bands != Bands.GRAY) {
      throw new ImageException(
          "%s of %s cannot be a NIfTI file, which holds gray or RGB".formatted(image, bands));
    }
    if (image.width() > Short.MAX_VALUE || image.height() > Short.MAX_VALUE) {
      throw new ImageException(
          image + " is too large for a NIfTI-1 file, whose sides are at most 32767");
    }
  }

  /**
   * How slices follow each other.
   *
   * @param slices of the volume
   * @param step from one to the next, in DICOM's millimetres; empty if it is not known
   */
  record Stack(int slices, Optional<SlicePlace.Vector> step) {}

  /** Bytes of an image's values. */
  static int bytes(Raster image) {
    int size = image.format().bands() == Bands.RGB ? 3 : image.format().type().bits() / Byte.SIZE;
    return Math.multiplyExact(size, Math.multiplyExact(image.width(), image.height()));
  }

  /** An image's values. */
  static void put(Raster image, ByteBuffer file) {
    PixelFormat format = image.format();
    boolean color = format.bands() == Bands.RGB;
    int pixels = image.width() * image.height();
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
  }

  /** All before the values. */
  static byte[] head(
      int width, int height, PixelFormat format, ImageMetadata metadata, Stack stack) {
    byte[] comment = comment(metadata);
    int start = NiftiHeader.SIZE_1 + 4 + comment.length;
    ByteBuffer file = ByteBuffer.allocate(start).order(ByteOrder.LITTLE_ENDIAN);
    boolean color = format.bands() == Bands.RGB;
    int type =
        color
            ? 128
            : switch (format.type()) {
              case UINT8 -> 2;
              case INT16 -> 4;
              case UINT16 -> 512;
              case FLOAT32 -> 16;
            };
    file.put(NiftiHeader.SIZE_1, (byte) (comment.length > 0 ? 1 : 0));
    file.put(NiftiHeader.SIZE_1 + 4, comment);
    file.putInt(0, NiftiHeader.SIZE_1);
    file.putShort(40, (short) 3).putShort(42, (short) width);
    file.putShort(44, (short) height).putShort(46, (short) stack.slices());
    for (int axis = 4; axis < 8; axis++) {
      file.putShort(40 + 2 * axis, (short) 1);
    }
    file.putShort(70, (short) type).putShort(72, (short) (color ? 24 : format.type().bits()));
    PixelSpacing spacing = metadata.spacing().orElse(new PixelSpacing(1, 1));
    double thickness =
        stack.step().map(SlicePlace.Vector::length).orElseGet(() -> thickness(metadata));
    file.putFloat(76, 1);
    file.putFloat(80, (float) spacing.x());
    file.putFloat(84, (float) spacing.y());
    file.putFloat(88, (float) thickness);
    file.putFloat(108, start).putFloat(112, 1);
    ValueRange range = format.range();
    if (!range.descending() && type != 128) {
      file.putFloat(124, (float) range.high()).putFloat(128, (float) range.low());
    }
    boolean placed = metadata.medical().flatMap(MedicalSource::place).isPresent();
    file.put(123, (byte) (metadata.spacing().isPresent() ? 2 : 0));
    if (placed) {
      SlicePlace place = metadata.medical().orElseThrow().place().orElseThrow();
      // NIfTI counts to the right and the front, DICOM to the left and the back.
      double[] row = world(place.alongRow());
      double[] column = world(place.alongColumn());
      double[] origin = world(place.position());
      double[] across =
          stack
              .step()
              .map(NiftiWriter::world)
              .orElse(
                  new double[] {
                    (row[1] * column[2] - row[2] * column[1]) * thickness,
                    (row[2] * column[0] - row[0] * column[2]) * thickness,
                    (row[0] * column[1] - row[1] * column[0]) * thickness
                  });
      file.putShort(254, (short) 1);
      for (int i = 0; i < 3; i++) {
        file.putFloat(280 + 16 * i, (float) (row[i] * spacing.x()));
        file.putFloat(284 + 16 * i, (float) (column[i] * spacing.y()));
        file.putFloat(288 + 16 * i, (float) across[i]);
        file.putFloat(292 + 16 * i, (float) origin[i]);
      }
    }
    file.put(344, "n+1\0".getBytes(StandardCharsets.ISO_8859_1));
    return file.array();
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
