/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import io.github.flinkdiffusion.ops.image.BandTexts;
import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SampleType;
import io.github.flinkdiffusion.ops.image.ValueRange;
import io.github.flinkdiffusion.ops.image.Window;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;

/**
 * An image whose bands are computed of another's. Bands that are taken as they are stay in the
 * file's numbers. As soon as one is computed, all are floats in what the file's numbers measure
 * (number x scale + offset, as its metadata say); where a band lacks data, or the result is not a
 * number, there is no data.
 */
final class BandScene implements ForwardingScene {
  private static final int PIXELS_AT_ONCE = 1 << 20;

  private final Scene source;
  private final List<BandMath> bands;
  private final boolean computed;
  private final PixelFormat format;
  private final ImageMetadata metadata;

  /** By the source's bands: what its numbers measure. */
  private final double[] scale;

  private final double[] offset;

  private BandScene(
      Scene source,
      List<BandMath> bands,
      boolean computed,
      PixelFormat format,
      ImageMetadata metadata,
      double[] scale,
      double[] offset) {
    this.source = source;
    this.bands = bands;
    this.computed = computed;
    this.format = format;
    this.metadata = metadata;
    this.scale = scale;
    this.offset = offset;
  }

  /**
   * @throws ImageException if the source has not these bands, or does not say well what they
   *     measure
   */
  static Scene of(Scene source, List<BandMath> bands) {
    for (BandMath one : bands) {
      one.bands(
          index -> {
            if (index >= source.channels()) {
              throw new ImageException(
                  "Band expression '%s': the image has no band B%d; it has B1 to B%d"
                      .formatted(one, index + 1, source.channels()));
            }
          });
    }
    boolean computed = bands.stream().anyMatch(one -> one.band().isEmpty());
    Bands kind =
        bands.size() == 1
            ? Bands.GRAY
            : !computed && bands.size() == 3 && !source.format().bands().areMeasurements()
                ? Bands.RGB
                : Bands.MEASUREMENTS;
    double[] scale = new double[source.channels()];
    double[] offset = new double[source.channels()];
    ImageMetadata metadata = source.metadata();
    if (!computed) {
      List<Integer> taken = bands.stream().map(one -> one.band().getAsInt()).toList();
      return new BandScene(
          source,
          bands,
          false,
          source.format().withBands(kind),
          metadata.replacingTexts(BandTexts.ofBands(metadata.texts(), taken)),
          scale,
          offset);
    }
    for (BandMath one : bands) {
      one.bands(
          index -> {
            scale[index] = BandTexts.scale(metadata.texts(), index);
            offset[index] = BandTexts.offset(metadata.texts(), index);
          });
    }
    PixelFormat floats = PixelFormat.of(kind, SampleType.FLOAT32);
    return new BandScene(
        source,
        bands,
        true,
        floats,
        metadata.replacingTexts(BandTexts.withoutBands(metadata.texts())).withoutProfile(),
        scale,
        offset);
  }

  @Override
  public Scene scene() {
    return source;
  }

  @Override
  public int channels() {
    return bands.size();
  }

  @Override
  public PixelFormat format() {
    return format;
  }

  @Override
  public ImageMetadata metadata() {
    return metadata;
  }

  @Override
  public Raster read(Window window) {
    Raster whole = source.read(window);
    int plane = whole.width() * whole.height();
    float[] data = new float[Math.multiplyExact(bands.size(), plane)];
    BitSet missing = new BitSet();
    for (int c = 0; c < bands.size(); c++) {
      if (computed) {
        compute(bands.get(c), whole, data, c * plane, missing);
      } else {
        int from = bands.get(c).band().getAsInt();
        System.arraycopy(whole.data(), from * plane, data, c * plane, plane);
      }
    }
    Raster part =
        new Raster(
            bands.size(),
            whole.height(),
            whole.width(),
            data,
            format,
            metadata.cropped(window.x(), window.y()));
    Optional<NoDataMask> noData =
        computed
            ? NoDataMask.of(bands.size(), whole.height(), whole.width(), missing)
            : taken(whole.noData());
    if (computed) {
      noData.ifPresent(mask -> mask.fill(data));
    }
    return noData.map(part::masked).orElse(part);
  }

  private Optional<NoDataMask> taken(Optional<NoDataMask> mask) {
    return mask.flatMap(
        known -> known.bands(bands.stream().map(one -> one.band().getAsInt()).toList()));
  }

  private void compute(BandMath one, Raster whole, float[] data, int to, BitSet missing) {
    int plane = whole.width() * whole.height();
    List<Integer> used = new ArrayList<>();
    one.bands(used::add);
    Optional<NoDataMask> noData = whole.noData();
    ValueRange range = whole.format().range();
    boolean integer = whole.format().type().isInteger();
    for (int i = 0; i < plane; i++) {
      int at = i;
      double value =
          noData.isPresent()
                  && used.stream().anyMatch(band -> noData.get().isMissing(band * plane + at))
              ? Double.NaN
              : one.of(
                  band -> {
                    double number = range.value(whole.data()[band * plane + at]);
                    return (integer ? Math.rint(number) : number) * scale[band] + offset[band];
                  });
      if (Double.isFinite(value) && Math.abs(value) <= Float.MAX_VALUE) {
        data[to + i] = (float) value;
      } else {
        missing.set(to + i);
      }
    }
  }

  @Override
  public boolean mayLackData() {
    // A division by 0 has no result.
    return computed || source.mayLackData();
  }

  @Override
  public Optional<NoDataMask> noData(Window window) {
    if (!computed) {
      return taken(source.noData(window));
    }
    // By some rows at a time: rows of a large image are many, and their values are not needed.
    int plane = window.width() * window.height();
    int rows = Math.max(1, Math.min(window.height(), PIXELS_AT_ONCE / window.width()));
    BitSet missing = new BitSet();
    for (int top = 0; top < window.height(); top += rows) {
      int height = Math.min(rows, window.height() - top);
      Optional<NoDataMask> part =
          read(new Window(window.x(), window.y() + top, window.width(), height)).noData();
      if (part.isPresent()) {
        int size = height * window.width();
        for (int i = 0; i < size * bands.size(); i++) {
          if (part.get().isMissing(i)) {
            missing.set(i / size * plane + top * window.width() + i % size);
          }
        }
      }
    }
    return NoDataMask.of(bands.size(), window.height(), window.width(), missing);
  }
}
