/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.io.ByteArrayOutputStream;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.function.Predicate;
import java.util.zip.CRC32;

/**
 * Frames of animated PNG files (PNG, third edition): each is made a PNG file of its own, which is
 * read as any other, and put on what the frames before it left.
 */
final class PngFrames {
  private static final int SIGNATURE = 8;
  private static final Set<String> SHARED = Set.of("PLTE", "tRNS");
  private static final int DISPOSE_TO_BACKGROUND = 1;
  private static final int DISPOSE_TO_PREVIOUS = 2;

  private final byte[] file;
  private final ImageLimits limits;
  private final Predicate<byte[]> frames;
  private final ByteArrayOutputStream shared = new ByteArrayOutputStream();
  private final ByteArrayOutputStream pixels = new ByteArrayOutputStream();
  private byte[] header;

  /** Null before the first frame's. */
  private ByteBuffer control;

  private FrameCanvas canvas;
  private boolean wanted = true;

  private PngFrames(byte[] file, ImageLimits limits, Predicate<byte[]> frames) {
    this.file = file;
    this.limits = limits;
    this.frames = frames;
  }

  /** Whether the file says that it has frames, before its first image. */
  static boolean isAnimated(byte[] file) {
    ByteBuffer in = ByteBuffer.wrap(file, SIGNATURE, file.length - SIGNATURE);
    while (in.remaining() >= 8) {
      int length = in.getInt();
      String type = type(in);
      if (type.equals("acTL")) {
        return true;
      }
      if (type.equals("IDAT") || length < 0 || length > in.remaining() - 4) {
        return false;
      }
      in.position(in.position() + length + 4);
    }
    return false;
  }

  static void each(byte[] file, ImageLimits limits, Predicate<byte[]> frames) {
    try {
      new PngFrames(file, limits, frames).read();
    } catch (BufferUnderflowException | IndexOutOfBoundsException e) {
      throw new ImageException(
          "Truncated PNG animation: it ends with byte %d".formatted(file.length), e);
    }
  }

  private static String type(ByteBuffer in) {
    byte[] type = new byte[4];
    in.get(type);
    return new String(type, StandardCharsets.ISO_8859_1);
  }

  private void read() {
    ByteBuffer in = ByteBuffer.wrap(file, SIGNATURE, file.length - SIGNATURE);
    while (wanted) {
      int begin = in.position();
      int length = in.getInt();
      String type = type(in);
      if (length < 0 || length > in.remaining() - 4) {
        throw new ImageException(
            "Truncated PNG animation: the chunk %s at byte %d has %d bytes"
                .formatted(type, begin, length));
      }
      byte[] data = new byte[length];
      in.get(data);
      CRC32 sum = new CRC32();
      sum.update(file, begin + 4, length + 4);
      if ((int) sum.getValue() != in.getInt()) {
        throw new ImageException(
            "Corrupt PNG animation: the checksum of the chunk %s at byte %d differs"
                .formatted(type, begin));
      }
      if (type.equals("IEND")) {
        finish();
        return;
      }
      chunk(type, data);
    }
  }

  private void chunk(String type, byte[] data) {
    if (type.equals("IHDR")) {
      header = data;
      ByteBuffer size = ByteBuffer.wrap(data);
      int width = size.getInt();
      int height = size.getInt();
      if (width < 1 || height < 1) {
        throw new ImageException(
            "Corrupt PNG animation: it says that it is %d x %d pixels".formatted(width, height));
      }
      limits.check(width, height, 4);
      canvas = new FrameCanvas(width, height);
    } else if (header == null) {
      throw new ImageException("Corrupt PNG animation: it begins with the chunk " + type);
    } else if (SHARED.contains(type)) {
      write(type, data, shared);
    } else if (type.equals("fcTL")) {
      finish();
      control = ByteBuffer.wrap(data);
    } else if (type.equals("IDAT") && control != null) {
      pixels.write(data, 0, data.length); // otherwise it is an image for those who show one only
    } else if (type.equals("fdAT")) {
      ByteBuffer.wrap(data).getInt();
      pixels.write(data, 4, data.length - 4);
    }
  }

  /** Emits the frame whose chunks were read. */
  private void finish() {
    if (control == null || !wanted) {
      return;
    }
    int width = control.getInt(4);
    int height = control.getInt(8);
    int left = control.getInt(12);
    int top = control.getInt(16);
    int disposal = control.get(24);
    boolean over = control.get(25) == 1;
    if (width < 1 || height < 1 || left < 0 || top < 0) {
      throw new ImageException(
          "Corrupt PNG animation: a frame of %d x %d pixels at (%d, %d)"
              .formatted(width, height, left, top));
    }
    ByteArrayOutputStream still = new ByteArrayOutputStream();
    still.write(file, 0, SIGNATURE);
    byte[] own = header.clone();
    ByteBuffer.wrap(own).putInt(width).putInt(height);
    write("IHDR", own, still);
    still.writeBytes(shared.toByteArray());
    write("IDAT", pixels.toByteArray(), still);
    write("IEND", new byte[0], still);
    pixels.reset();
    Raster part = PngCodec.decode(still.toByteArray(), limits);
    FrameCanvas before = disposal == DISPOSE_TO_PREVIOUS ? canvas.copy() : null;
    canvas.put(part, left, top, over);
    wanted = frames.test(canvas.png());
    if (before != null) {
      canvas = before;
    } else if (disposal == DISPOSE_TO_BACKGROUND) {
      canvas.clear(new Window(left, top, width, height));
    }
    control = null;
  }

  private static void write(String type, byte[] data, ByteArrayOutputStream out) {
    byte[] name = type.getBytes(StandardCharsets.ISO_8859_1);
    CRC32 sum = new CRC32();
    sum.update(name);
    sum.update(data);
    out.writeBytes(ByteBuffer.allocate(4).putInt(data.length).array());
    out.writeBytes(name);
    out.writeBytes(data);
    out.writeBytes(ByteBuffer.allocate(4).putInt((int) sum.getValue()).array());
  }
}
