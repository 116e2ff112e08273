/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

/** From the stored values of a color frame to a raster in RGB. */
final class DicomColor {
  private DicomColor() {}

  static Raster raster(DicomFile file, int frame, DicomSamples samples, ReadOptions options) {
    DicomLayout layout = file.layout();
    int pixels = layout.pixels();
    int bits = layout.stored();
    int[] rgb;
    if (layout.photometric().equals("PALETTE COLOR")) {
      DicomLut[] palette = new DicomLut[3];
      for (int color = 0; color < 3; color++) {
        palette[color] = DicomLut.palette(file.set(), color, layout.signed());
        if (palette[color].bits() != palette[0].bits()) {
          throw new ImageException("Corrupt DICOM file: its palette's colors differ in bits");
        }
      }
      bits = palette[0].bits();
      rgb = new int[3 * pixels];
      for (int i = 0; i < 3 * pixels; i++) {
        rgb[i] = palette[i / pixels].entry(samples.at(i % pixels, layout.signed()));
      }
    } else {
      rgb = samples.whole();
      if (samples.photometric().startsWith("YBR_FULL")) {
        toRgb(rgb, pixels, bits);
      }
    }
    ValueRange range = ValueRange.ofBits(bits);
    float[] data = new float[3 * pixels];
    for (int i = 0; i < data.length; i++) {
      data[i] = (float) range.unit(Integer.toUnsignedLong(rgb[i]));
    }
    return new Raster(
        3,
        layout.rows(),
        layout.columns(),
        data,
        new PixelFormat(Bands.RGB, type(bits), range),
        file.metadata(frame, options));
  }

  private static SampleType type(int bits) {
    if (bits > 16) {
      return SampleType.FLOAT32;
    }
    return bits > 8 ? SampleType.UINT16 : SampleType.UINT8;
  }

  /** PS3.3, C.7.6.3.1.2, in place. */
  private static void toRgb(int[] planes, int pixels, int bits) {
    int most = (1 << bits) - 1;
    int middle = 1 << bits - 1;
    for (int i = 0; i < pixels; i++) {
      double y = planes[i];
      double cb = planes[pixels + i] - middle;
      double cr = planes[2 * pixels + i] - middle;
      planes[i] = nearest(y + 1.402 * cr, most);
      planes[pixels + i] =
          nearest(y - 0.114 * 1.772 / 0.587 * cb - 0.299 * 1.402 / 0.587 * cr, most);
      planes[2 * pixels + i] = nearest(y + 1.772 * cb, most);
    }
  }

  private static int nearest(double value, int most) {
    return (int) Math.max(0, Math.min(most, Math.floor(value + 0.5)));
  }
}
