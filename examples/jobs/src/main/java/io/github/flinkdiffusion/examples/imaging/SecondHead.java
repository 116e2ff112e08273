/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PixelSpacing;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.ValueRange;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import java.util.zip.GZIPInputStream;

/**
 * A head that is never trained on: the T1 scan of one person, 2 x 3 x 2 mm, that ITK's k-means
 * example segments, with the mask that ITK ships for it. Its axial slices are laid, centred, into
 * the frame of 1 mm that {@link HeadScan}'s have.
 */
final class SecondHead {
  private static final String SCAN = "KmeansTest_T1UCharRaw.nii.gz";
  private static final String MASK = "KmeansTest_T1RawSkullStrip.nii.gz";
  private static final int SLICES = 128;

  /** Slices in which the mask is not empty. */
  private static final int LOWEST = 25;

  private static final int HIGHEST = 94;

  /** Slices apart, so that neighbours, which look alike, are not all measured. */
  private static final int EVERY = 3;

  private static final ValueRange GRAY = new ValueRange(0, 255);

  private final byte[] scan;
  private final byte[] mask;

  private SecondHead(byte[] scan, byte[] mask) {
    this.scan = scan;
    this.mask = mask;
  }

  /**
   * @param data usr/share/doc/insighttoolkit5-examples/examples/Data of the Debian package
   *     insighttoolkit5-examples
   */
  static SecondHead open(Path data) throws IOException {
    return new SecondHead(unpacked(data.resolve(SCAN)), unpacked(data.resolve(MASK)));
  }

  private static byte[] unpacked(Path file) throws IOException {
    try (InputStream in = new GZIPInputStream(Files.newInputStream(file))) {
      return in.readAllBytes();
    }
  }

  /** Slices with brain, counted from below. */
  static List<Integer> withBrain() {
    return IntStream.rangeClosed(LOWEST, HIGHEST).filter(z -> z % EVERY == 0).boxed().toList();
  }

  /** Slices with head but no brain: the neck and the scalp. */
  static List<Integer> withoutBrain() {
    return IntStream.range(0, SLICES)
        .filter(z -> (z > 14 && z < LOWEST - 2 || z > HIGHEST + 2 && z < 101) && z % 2 == 0)
        .boxed()
        .toList();
  }

  /** A slice of the head, 0..1, one channel. */
  Raster slice(int z) {
    Raster read = read(scan, z);
    return framed(read.over(GRAY), false);
  }

  /** Where its brain is: 1 or 0. */
  Raster mask(int z) {
    return framed(read(mask, z).over(GRAY), true);
  }

  private static Raster read(byte[] volume, int z) {
    return Images.read(volume, ReadOptions.DEFAULT.withRangeGiven().withPage(z));
  }

  private static Raster framed(Raster slice, boolean binary) {
    PixelSpacing spacing = slice.metadata().spacing().orElse(new PixelSpacing(1, 1));
    Raster values = binary ? inside(slice) : slice;
    float[] data = new float[HeadScan.HEIGHT * HeadScan.WIDTH];
    for (int y = 0; y < HeadScan.HEIGHT; y++) {
      for (int x = 0; x < HeadScan.WIDTH; x++) {
        double sourceX = (x + 0.5 - HeadScan.WIDTH / 2.0) / spacing.x() + slice.width() / 2.0 - 0.5;
        double sourceY =
            (y + 0.5 - HeadScan.HEIGHT / 2.0) / spacing.y() + slice.height() / 2.0 - 0.5;
        double value = SliceVariation.bilinear(values, sourceX, sourceY);
        data[y * HeadScan.WIDTH + x] = (float) (binary ? (value >= 0.5 ? 1 : 0) : value);
      }
    }
    return new Raster(1, HeadScan.HEIGHT, HeadScan.WIDTH, data);
  }

  private static Raster inside(Raster labels) {
    float[] data = new float[labels.data().length];
    for (int i = 0; i < data.length; i++) {
      data[i] = labels.data()[i] > 0 ? 1 : 0;
    }
    return new Raster(1, labels.height(), labels.width(), data);
  }
}
