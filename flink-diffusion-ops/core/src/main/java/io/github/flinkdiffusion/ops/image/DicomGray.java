/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.DoubleUnaryOperator;

/**
 * From the stored values of a gray frame to a raster: first the device's numbers, such as
 * Hounsfield units (rescale slope and intercept, or a modality table), then what of them is black
 * and white (a window, or a VOI table).
 *
 * <p>A linear window is the raster's range, so nothing is lost. A window in the shape of a sigmoid
 * and a table have no way back: such a raster holds the numbers to be displayed, and its texts say
 * so.
 */
final class DicomGray {
  static final String SHOWN = "VOI";

  /** Numbers as the device means them, and the least and largest that there can be. */
  private record Modality(DoubleUnaryOperator value, double low, double high, boolean whole) {}

  /** What of a modality's numbers is displayed, and how. */
  private record Display(
      DoubleUnaryOperator shown, ValueRange range, SampleType type, String applied) {}

  /** Stored values of pixels at which nothing was measured (PS3.3, C.7.5.1.1.2). */
  private record Padding(double value, double low, double high) {
    static Optional<Padding> of(DicomDataSet set, DicomLayout layout) {
      if (layout.real() > 0) {
        return real(set, layout.real());
      }
      List<Integer> values = set.integers(DicomTag.PADDING, layout.signed());
      if (values.isEmpty()) {
        return Optional.empty();
      }
      int value = values.get(0);
      int limit =
          set.integers(DicomTag.PADDING_LIMIT, layout.signed()).stream().findFirst().orElse(value);
      // A number that no pixel can have says nothing.
      return value < layout.lowest() || value > layout.highest()
          ? Optional.empty()
          : Optional.of(new Padding(value, Math.min(value, limit), Math.max(value, limit)));
    }

    private static Optional<Padding> real(DicomDataSet set, int bits) {
      boolean single = bits == 32;
      int limit = single ? DicomTag.FLOAT_PADDING_LIMIT : DicomTag.DOUBLE_PADDING_LIMIT;
      return set.real(single ? DicomTag.FLOAT_PADDING : DicomTag.DOUBLE_PADDING, bits)
          .map(
              value -> {
                double other = set.real(limit, bits).orElse(value);
                return new Padding(value, Math.min(value, other), Math.max(value, other));
              });
    }

    boolean holds(double stored) {
      return Double.isNaN(value) ? Double.isNaN(stored) : stored >= low && stored <= high;
    }
  }

  private DicomGray() {}

  static Raster raster(DicomFile file, int frame, DicomSamples samples, ReadOptions options) {
    DicomLayout layout = file.layout();
    Modality modality = modality(file, frame);
    Display display =
        options.rangeGiven() ? plain(modality, type(modality)) : display(file, frame, modality);
    ValueRange range =
        layout.photometric().equals("MONOCHROME1")
            ? new ValueRange(display.range().high(), display.range().low())
            : display.range();
    Optional<Padding> padding = Padding.of(file.set(), layout);
    BitSet missing = new BitSet();
    float[] data = new float[layout.pixels()];
    for (int i = 0; i < data.length; i++) {
      if (padding.isPresent() && padding.get().holds(samples.at(i, layout.signed()))) {
        missing.set(i);
        continue;
      }
      double value = modality.value().applyAsDouble(samples.at(i, layout.signed()));
      data[i] = (float) range.unit(display.shown().applyAsDouble(options.finite(value, "DICOM")));
    }
    PixelFormat format = new PixelFormat(Bands.GRAY, display.type(), range);
    if (padding.isPresent()) {
      format = withPadding(format, modality, display, padding.get());
    }
    Raster raster =
        new Raster(1, layout.rows(), layout.columns(), data, format, file.metadata(frame, options))
            .withNoData(missing);
    return display.applied().isEmpty()
        ? raster
        : raster.withMetadata(raster.metadata().withTexts(Map.of(SHOWN, display.applied())));
  }

  /** What stands for no data in a result: the file's own number, where numbers are its own. */
  private static PixelFormat withPadding(
      PixelFormat format, Modality modality, Display display, Padding padding) {
    double own = modality.value().applyAsDouble(padding.value());
    if (display.applied().isEmpty() && format.type().holds(own)) {
      return format.withNoData(own);
    }
    return format.withNoData(format.type() == SampleType.FLOAT32 ? Double.NaN : 0);
  }

  private static Modality modality(DicomFile file, int frame) {
    DicomLayout layout = file.layout();
    Optional<DicomDataSet> table = file.set().item(DicomTag.MODALITY_LUT, 0);
    if (table.isPresent()) {
      DicomLut lut = DicomLut.of(table.get(), layout.signed());
      return new Modality(lut::entry, 0, lut.highest(), true);
    }
    DicomDataSet group = file.group(DicomTag.PIXEL_VALUE_TRANSFORMATION, frame);
    // The numbers of a dose are scaled by an attribute of their own (PS3.3, C.8.8.3).
    double slope =
        group
            .decimal(DicomTag.SLOPE, 0)
            .or(() -> file.set().decimal(DicomTag.DOSE_SCALING, 0))
            .orElse(1.0);
    double intercept = group.decimal(DicomTag.INTERCEPT, 0).orElse(0.0);
    if (slope == 0) {
      throw new ImageException("Corrupt DICOM file: a rescale slope of 0");
    }
    if (layout.real() > 0) {
      return new Modality(value -> value * slope + intercept, 0, 1, false);
    }
    double one = layout.lowest() * slope + intercept;
    double other = layout.highest() * slope + intercept;
    return new Modality(
        value -> value * slope + intercept,
        Math.min(one, other),
        Math.max(one, other),
        slope == Math.rint(slope) && intercept == Math.rint(intercept));
  }

  private static SampleType type(Modality modality) {
    for (SampleType type :
        new SampleType[] {SampleType.UINT8, SampleType.UINT16, SampleType.INT16}) {
      if (modality.whole()
          && modality.low() >= type.fullRange().low()
          && modality.high() <= type.fullRange().high()) {
        return type;
      }
    }
    return SampleType.FLOAT32;
  }

  private static Display plain(Modality modality, SampleType type) {
    return new Display(
        DoubleUnaryOperator.identity(), new ValueRange(modality.low(), modality.high()), type, "");
  }

  private static Display display(DicomFile file, int frame, Modality modality) {
    SampleType type = type(modality);
    ValueRange full = new ValueRange(modality.low(), modality.high());
    DicomDataSet group = file.group(DicomTag.FRAME_VOI_LUT, frame);
    Optional<Double> center = group.decimal(DicomTag.WINDOW_CENTER, 0);
    Optional<Double> width = group.decimal(DicomTag.WINDOW_WIDTH, 0);
    if (center.isEmpty() || width.isEmpty()) {
      return group
          .item(DicomTag.VOI_LUT, 0)
          .map(item -> table(DicomLut.of(item, modality.low() < 0)))
          .orElse(plain(modality, type));
    }
    double c = center.get();
    double w = width.get();
    String function = group.text(DicomTag.WINDOW_FUNCTION).orElse("");
    switch (function) {
      case "", "LINEAR" -> {
        // PS3.3, C.11.2.1.2: the ends are a half and a whole step further in. A width of 1 is a
        // threshold, which no range has.
        return new Display(
            DoubleUnaryOperator.identity(),
            w > 1 ? new ValueRange(c - 0.5 - (w - 1) / 2, c - 0.5 + (w - 1) / 2) : full,
            type,
            "");
      }
      case "LINEAR_EXACT" -> {
        return new Display(
            DoubleUnaryOperator.identity(),
            w > 0 ? new ValueRange(c - w / 2, c + w / 2) : full,
            type,
            "");
      }
      case "SIGMOID" -> {
        if (w > 0) {
          return new Display(
              value -> 1 / (1 + Math.exp(-4 * (value - c) / w)),
              SampleType.FLOAT32.fullRange(),
              SampleType.FLOAT32,
              "SIGMOID, center %s, width %s".formatted(c, w));
        }
      }
      default -> {}
    }
    throw new ImageException(
        ("A DICOM file with the window function '%s' of width %s; LINEAR, LINEAR_EXACT and SIGMOID"
                + " with a width above 0 are supported")
            .formatted(function, w));
  }

  private static Display table(DicomLut lut) {
    return new Display(
        lut::entry,
        ValueRange.ofBits(lut.bits()),
        lut.bits() <= 8 ? SampleType.UINT8 : SampleType.UINT16,
        "LUT of %d entries from %d".formatted(lut.entries().length, lut.firstInput()));
  }
}
