/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.quality.Fidelity;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/**
 * How near a picture that was made again is to the one that was made first.
 *
 * @param sameFile whether the files are equal, byte for byte
 * @param sameSize whether they have equally many pixels and bands; the rest means nothing else
 * @param psnr in decibels, infinite for equal pixels
 * @param largestDifference of two values, as a share of the range from black to white
 * @param differing values that differ, of all bands
 * @param values in all
 */
record Comparison(
    boolean sameFile,
    boolean sameSize,
    double psnr,
    double largestDifference,
    long differing,
    long values) {

  /** In one word. */
  enum Verdict {
    IDENTICAL,
    EQUAL,
    CLOSE,
    DIFFERENT
  }

  /**
   * Compares two image files; their pixels are looked at only if they are not the same file.
   *
   * @throws io.github.flinkdiffusion.ops.image.ImageException when one of them is no image
   */
  static Comparison of(Path first, Path again) throws IOException {
    if (Files.mismatch(first, again) < 0) {
      return new Comparison(true, true, Double.POSITIVE_INFINITY, 0, 0, 0);
    }
    Raster before = read(first);
    Raster after = read(again);
    if (before.channels() != after.channels()
        || before.height() != after.height()
        || before.width() != after.width()) {
      return new Comparison(false, false, Double.NaN, Double.NaN, 0, 0);
    }
    double largest = 0;
    long differing = 0;
    for (int i = 0; i < before.data().length; i++) {
      double difference = Math.abs((double) before.data()[i] - after.data()[i]);
      largest = Math.max(largest, difference);
      differing += difference > 0 ? 1 : 0;
    }
    return new Comparison(
        false, true, Fidelity.psnr(after, before), largest, differing, before.data().length);
  }

  private static Raster read(Path file) throws IOException {
    return Images.read(Files.readAllBytes(file), ReadOptions.DEFAULT);
  }

  /**
   * @param tolerance largest difference that is rounding
   */
  Verdict verdict(double tolerance) {
    if (sameFile) {
      return Verdict.IDENTICAL;
    }
    if (!sameSize || largestDifference > tolerance) {
      return Verdict.DIFFERENT;
    }
    return largestDifference == 0 ? Verdict.EQUAL : Verdict.CLOSE;
  }

  /** Both pictures and, where they have one size, how much they differ, brightened. */
  static byte[] sheet(Path first, Path again) throws IOException {
    Raster before = read(first);
    Raster after = read(again);
    ContactSheet sheet =
        ContactSheet.columns(3)
            .pictureSize(256)
            .add(shown(before), "the result")
            .add(shown(after), "made again");
    if (before.data().length == after.data().length && before.width() == after.width()) {
      float[] differences = new float[before.data().length];
      float largest = 0;
      for (int i = 0; i < differences.length; i++) {
        differences[i] = Math.abs(before.data()[i] - after.data()[i]);
        largest = Math.max(largest, differences[i]);
      }
      for (int i = 0; i < differences.length && largest > 0; i++) {
        differences[i] /= largest;
      }
      sheet.add(
          shown(new Raster(before.channels(), before.height(), before.width(), differences)),
          "their difference",
          largest == 0
              ? "none"
              : String.format(Locale.ROOT, "brightest is %.4f of the range", largest));
    }
    return sheet.toPng();
  }

  /** As people see it: the first band of measurements, other pictures as they are. */
  private static Raster shown(Raster picture) {
    Raster plain =
        new Raster(picture.channels(), picture.height(), picture.width(), picture.data());
    if (picture.channels() <= 4 && picture.format().bands() != Bands.MEASUREMENTS) {
      return plain.storedAs(SampleType.UINT8);
    }
    float[] first = new float[picture.height() * picture.width()];
    System.arraycopy(picture.data(), 0, first, 0, first.length);
    return new Raster(1, picture.height(), picture.width(), first);
  }
}
