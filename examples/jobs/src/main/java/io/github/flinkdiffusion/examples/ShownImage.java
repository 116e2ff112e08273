/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ValueRange;
import io.github.flinkdiffusion.ops.serving.ImageSettings;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.apache.flink.configuration.ReadableConfig;

/**
 * How a contact sheet shows images: as the model sees them.
 *
 * @param bands that the model sees, from 1; empty for all
 * @param range of values from black to white; empty for what the files say
 * @param inputs whether they are shown; not when requests have parameters, which may select another
 *     part of a file, or other bands
 */
record ShownImage(List<Integer> bands, Optional<ValueRange> range, boolean inputs) {
  /**
   * @param parameters of the requests
   */
  static ShownImage of(ReadableConfig job, Map<String, String> parameters) {
    ImageSettings settings = ImageSettings.of(job);
    return new ShownImage(
        settings.bands(),
        Optional.ofNullable(settings.blackValue())
            .map(black -> new ValueRange(black, settings.whiteValue())),
        parameters.isEmpty());
  }

  /** An input, which has all bands; without those that it lacks, since its request fails then. */
  Raster input(Raster image) {
    if (bands.isEmpty() || bands.stream().anyMatch(band -> band > image.channels())) {
      return result(image);
    }
    Raster over = result(image);
    int pixels = image.width() * image.height();
    float[] chosen = new float[bands.size() * pixels];
    IntStream.range(0, bands.size())
        .forEach(
            to ->
                System.arraycopy(
                    over.data(), (bands.get(to) - 1) * pixels, chosen, to * pixels, pixels));
    return new Raster(bands.size(), image.height(), image.width(), chosen);
  }

  /** A result, which has the bands that the model saw. */
  Raster result(Raster image) {
    return withoutMissing(range.map(image::over).orElse(image));
  }

  /** Where there is no data is black, not what stands in for it. */
  static Raster withoutMissing(Raster image) {
    if (image.noData().isEmpty()) {
      return image;
    }
    NoDataMask mask = image.noData().get();
    float[] shown = image.data().clone();
    for (int i = 0; i < shown.length; i++) {
      if (mask.isMissing(i)) {
        shown[i] = 0;
      }
    }
    return new Raster(image.channels(), image.height(), image.width(), shown);
  }
}
