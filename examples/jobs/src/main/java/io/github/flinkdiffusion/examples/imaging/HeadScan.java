/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.zip.GZIPInputStream;

/**
 * The head "ch2" (Colin Holmes, 27 T1 scans averaged, MNI space, 1 mm) and where its brain is:
 * where the skull-stripped "ch2bet" is not 0. Axial slices, face up. Four slabs of slices are never
 * trained on, nor are their neighbours.
 */
final class HeadScan {
  static final int DEPTH = 181;
  static final int HEIGHT = 217;
  static final int WIDTH = 181;

  /** First slice of each held-out slab, counted from below. */
  private static final List<Integer> SLABS = List.of(20, 56, 92, 128);

  private static final int SLAB_SLICES = 8;

  /** Slices beside a slab that are not trained on because they look like it. */
  private static final int MARGIN = 2;

  /** NIfTI-1's header, its first voxel's offset and its code for unsigned bytes. */
  private static final int HEADER_BYTES = 348;

  private static final int DIMENSIONS_AT = 40;
  private static final int TYPE_AT = 70;
  private static final int OFFSET_AT = 108;
  private static final short UNSIGNED_BYTE = 2;

  private final byte[] head;
  private final byte[] brain;

  private HeadScan(byte[] head, byte[] brain) {
    this.head = head;
    this.brain = brain;
  }

  /**
   * @param templates usr/share/mricron/templates of the Debian package mricron-data
   */
  static HeadScan open(Path templates) throws IOException {
    return new HeadScan(
        voxels(templates.resolve("ch2.nii.gz")), voxels(templates.resolve("ch2bet.nii.gz")));
  }

  private static byte[] voxels(Path file) throws IOException {
    byte[] bytes;
    try (InputStream in = new GZIPInputStream(Files.newInputStream(file))) {
      bytes = in.readAllBytes();
    }
    ByteBuffer header = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int size = WIDTH * HEIGHT * DEPTH;
    if (bytes.length < HEADER_BYTES + size
        || header.getInt(0) != HEADER_BYTES
        || header.getShort(DIMENSIONS_AT + 2) != WIDTH
        || header.getShort(DIMENSIONS_AT + 4) != HEIGHT
        || header.getShort(DIMENSIONS_AT + 6) != DEPTH
        || header.getShort(TYPE_AT) != UNSIGNED_BYTE) {
      throw new IOException(
          file
              + " is no NIfTI-1 volume of %d x %d x %d unsigned bytes."
                  .formatted(WIDTH, HEIGHT, DEPTH));
    }
    int offset = (int) header.getFloat(OFFSET_AT);
    if (offset < HEADER_BYTES || offset + size > bytes.length) {
      throw new IOException(file + ": voxels begin at byte " + offset + ", which leaves too few.");
    }
    return Arrays.copyOfRange(bytes, offset, offset + size);
  }

  static List<Integer> heldOut() {
    return SLABS.stream()
        .flatMap(first -> IntStream.range(first, first + SLAB_SLICES).boxed())
        .toList();
  }

  /** All slices that are neither held out nor beside such a one; those without brain, too. */
  static List<Integer> trainedOn() {
    return IntStream.range(0, DEPTH)
        .filter(
            z ->
                SLABS.stream()
                    .noneMatch(first -> z >= first - MARGIN && z < first + SLAB_SLICES + MARGIN))
        .boxed()
        .toList();
  }

  /** A slice of the head, 0..1, one channel. */
  Raster slice(int z) {
    return raster(z, head, false);
  }

  /** Where its brain is: 1 or 0. */
  Raster mask(int z) {
    return raster(z, brain, true);
  }

  private static Raster raster(int z, byte[] volume, boolean binary) {
    float[] data = new float[HEIGHT * WIDTH];
    for (int y = 0; y < HEIGHT; y++) {
      for (int x = 0; x < WIDTH; x++) {
        // The volume's rows begin at the back of the head.
        int value = volume[(z * HEIGHT + HEIGHT - 1 - y) * WIDTH + x] & 0xFF;
        data[y * WIDTH + x] = binary ? Math.min(1, value) : value / 255f;
      }
    }
    return new Raster(1, HEIGHT, WIDTH, data);
  }
}
