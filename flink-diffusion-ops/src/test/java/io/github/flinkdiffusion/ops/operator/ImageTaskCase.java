/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PixelFormat;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.SampleType;

/** What tests of image tasks share: a device that works call by call, images, and their tasks. */
abstract class ImageTaskCase {
  static final String DIGEST = "digest-of-fake-upscaler";

  final ManualDevices devices = new ManualDevices();
  final FakeUpscalers upscalers = new FakeUpscalers(1, DIGEST);

  final ImageSubtask open(Object... optionsAndValues) throws Exception {
    return new ImageSubtask(upscalers, settings(optionsAndValues), devices).open();
  }

  /** Gray, 16 bits, no two pixels near each other alike. */
  static Raster image(int width, int height) {
    float[] values = new float[width * height];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (i * 7919L % 60_000) / 65_535;
    }
    return new Raster(
        1,
        height,
        width,
        values,
        PixelFormat.of(Bands.GRAY, SampleType.UINT16),
        ImageMetadata.NONE);
  }

  static ImageTaskEvent.Builder task(String id, Raster image, String mediaType) {
    return ImageTaskEvent.newBuilder()
        .setId(id)
        .setImage(Payloads.inline(Images.write(image, mediaType), ""))
        .setSeed(3L);
  }

  static Raster read(Payload payload) {
    return Images.read(Payloads.inlineBytes(payload).orElseThrow(), ReadOptions.DEFAULT);
  }

  static Raster picture(ImageEvent event) {
    return read(Payloads.image(event));
  }

  final Raster expected(Raster image, int steps, long seed) {
    return upscalers.pipeline().expected(image, steps, seed);
  }

  static void assertClose(Raster actual, Raster expected) {
    assertThat(actual.data()).hasSameSizeAs(expected.data());
    for (int i = 0; i < expected.data().length; i++) {
      assertThat(actual.data()[i])
          .as("value %d", i)
          .isBetween(expected.data()[i] - 1 / 65_000f, expected.data()[i] + 1 / 65_000f);
    }
  }

  static Raster mean(Raster a, Raster b) {
    float[] mean = new float[a.data().length];
    for (int i = 0; i < mean.length; i++) {
      mean[i] = (a.data()[i] + b.data()[i]) / 2;
    }
    return new Raster(a.channels(), a.height(), a.width(), mean);
  }
}
