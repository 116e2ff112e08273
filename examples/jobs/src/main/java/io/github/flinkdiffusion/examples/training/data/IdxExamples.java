/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import io.github.flinkdiffusion.ops.image.Raster;
import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.zip.GZIPInputStream;

/**
 * Images of one size and their classes as IDX arrays of bytes, the files of MNIST and its
 * successors, packed by gzip or not. Held in memory as bytes.
 */
public final class IdxExamples implements ExampleSet {
  private static final int UNSIGNED_BYTES = 0x08;
  private static final long MOST_BYTES = 1L << 31;

  private final byte[] pixels;
  private final int[] sizes;
  private final byte[] labels;
  private final String caption;

  private IdxExamples(byte[] pixels, int[] sizes, byte[] labels, String caption) {
    this.pixels = pixels;
    this.sizes = sizes;
    this.labels = labels;
    this.caption = caption;
  }

  private record Array(int[] sizes, byte[] bytes) {}

  /**
   * @param images three dimensions: images, rows, columns
   * @param labels one dimension; empty for images without classes
   * @param caption of an image, in which {@code {class}} stands for its class number
   */
  public static IdxExamples open(Path images, Optional<Path> labels, String caption) {
    Array pixels = read(images, 3);
    byte[] classes = labels.map(file -> read(file, 1).bytes()).orElse(new byte[0]);
    if (labels.isPresent() && classes.length != pixels.sizes()[0]) {
      throw new TrainingDataException(
          "%s has %d images, %s has %d labels."
              .formatted(images, pixels.sizes()[0], labels.get(), classes.length));
    }
    return new IdxExamples(pixels.bytes(), pixels.sizes(), classes, caption);
  }

  private static Array read(Path file, int dimensions) {
    try (InputStream raw = new BufferedInputStream(Files.newInputStream(file));
        DataInputStream in = new DataInputStream(unpacked(raw))) {
      int zeros = in.readUnsignedShort();
      int type = in.readUnsignedByte();
      int found = in.readUnsignedByte();
      if (zeros != 0 || type != UNSIGNED_BYTES || found != dimensions) {
        throw new TrainingDataException(
            "%s begins with %04x %02x %02x; expected an IDX array of bytes of %d dimensions, 0000 08 %02x."
                .formatted(file, zeros, type, found, dimensions, dimensions));
      }
      int[] sizes = new int[dimensions];
      long length = 1;
      for (int i = 0; i < dimensions; i++) {
        sizes[i] = in.readInt();
        if (sizes[i] < 1 || (length *= sizes[i]) >= MOST_BYTES) {
          throw new TrainingDataException(
              "%s: dimension %d has size %d; expected sizes from 1, less than 2 GiB in all."
                  .formatted(file, i, sizes[i]));
        }
      }
      // Not an array of the length that the header claims: a short file then costs nothing.
      byte[] bytes = in.readNBytes((int) length);
      if (bytes.length != length || in.read() >= 0) {
        throw new TrainingDataException(
            "%s has %s bytes after its header; expected %d."
                .formatted(file, bytes.length < length ? "only " + bytes.length : "more", length));
      }
      return new Array(sizes, bytes);
    } catch (IOException e) {
      throw new TrainingDataException("%s cannot be read: %s".formatted(file, e), e);
    }
  }

  private static InputStream unpacked(InputStream in) throws IOException {
    in.mark(2);
    boolean packed = in.read() == 0x1f && in.read() == 0x8b;
    in.reset();
    return packed ? new BufferedInputStream(new GZIPInputStream(in)) : in;
  }

  @Override
  public int size() {
    return sizes[0];
  }

  @Override
  public Example at(int index) {
    int size = sizes[1] * sizes[2];
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (pixels[index * size + i] & 0xff) / 255f;
    }
    String text =
        labels.length == 0
            ? ""
            : caption.replace("{class}", Integer.toString(labels[index] & 0xff));
    return new Example(new Raster(1, sizes[1], sizes[2], values), text, Optional.empty());
  }
}
