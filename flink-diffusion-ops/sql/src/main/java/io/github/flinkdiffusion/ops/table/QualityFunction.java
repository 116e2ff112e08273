/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.quality.Fidelity;
import io.github.flinkdiffusion.ops.quality.Overlap;
import io.github.flinkdiffusion.ops.quality.QualityException;
import java.io.Serializable;
import java.util.function.ToDoubleBiFunction;
import org.apache.flink.annotation.Internal;

/**
 * How well a picture matches the true one: {@code PSNR}, {@code SSIM}, {@code DICE} and {@code IOU}
 * of two images of one size.
 */
@Internal
public final class QualityFunction extends PlainFunction {
  private static final long serialVersionUID = 1L;

  private interface Measure extends ToDoubleBiFunction<Raster, Raster>, Serializable {}

  private final Measure measure;

  private QualityFunction(String name, Measure measure, boolean failing) {
    super(name, failing);
    this.measure = measure;
  }

  /** {@code PSNR(picture, truth)} in dB, of all bands. */
  static QualityFunction psnr(boolean failing) {
    return new QualityFunction("PSNR", Fidelity::psnr, failing);
  }

  /** {@code SSIM(picture, truth)}, a mean over bands. */
  static QualityFunction ssim(boolean failing) {
    return new QualityFunction("SSIM", Fidelity::ssim, failing);
  }

  /**
   * {@code DICE(mask, truth)} of what is half as bright as white, or brighter. What lacks data is
   * left out.
   */
  static QualityFunction dice(boolean failing) {
    return new QualityFunction("DICE", (a, b) -> Overlap.dice(inside(a, b), inside(b, a)), failing);
  }

  /** {@code IOU(mask, truth)}, likewise. */
  static QualityFunction iou(boolean failing) {
    return new QualityFunction(
        "IOU", (a, b) -> Overlap.intersectionOverUnion(inside(a, b), inside(b, a)), failing);
  }

  private static boolean[] inside(Raster mask, Raster other) {
    if (mask.channels() != 1 || mask.width() != other.width() || mask.height() != other.height()) {
      throw new QualityException(
          "Masks %s and %s; both need one band and the same size".formatted(mask, other));
    }
    boolean[] inside = new boolean[mask.data().length];
    for (int i = 0; i < inside.length; i++) {
      // A pixel that lacks data in one of them is inside in neither.
      inside[i] = mask.data()[i] >= 0.5f && !isMissing(mask, i) && !isMissing(other, i);
    }
    return inside;
  }

  private static boolean isMissing(Raster raster, int index) {
    return raster.noData().filter(lacking -> lacking.isMissing(index)).isPresent();
  }

  public Double eval(byte[] picture, byte[] truth) {
    if (picture == null || truth == null) {
      return null;
    }
    return valueOrNull(() -> measure.applyAsDouble(read(picture), read(truth)));
  }
}
