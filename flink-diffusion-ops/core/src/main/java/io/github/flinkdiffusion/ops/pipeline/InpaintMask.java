/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;

/** Where a picture is made anew, as the inpainting pipelines see it. */
final class InpaintMask {
  private static final float THRESHOLD = 0.5f;

  private final Raster mask;

  /**
   * @param mask one channel, as large as the picture
   */
  InpaintMask(Raster mask) {
    this.mask = mask;
  }

  /** The picture with mid-gray, the autoencoder's zero, where it is made anew. */
  Raster covered(Raster image) {
    float[] data = image.data().clone();
    int plane = image.height() * image.width();
    for (int i = 0; i < data.length; i++) {
      if (mask.data()[i % plane] >= THRESHOLD) {
        data[i] = 0.5f;
      }
    }
    return new Raster(image.channels(), image.height(), image.width(), data);
  }

  /** 1 where a latent pixel's upper left pixel is made anew, 0 elsewhere. */
  float[] latent(SampleShape shape) {
    int factor = mask.height() / shape.height();
    float[] latent = new float[shape.plane()];
    for (int y = 0; y < shape.height(); y++) {
      for (int x = 0; x < shape.width(); x++) {
        latent[y * shape.width() + x] = mask.at(0, y * factor, x * factor) >= THRESHOLD ? 1 : 0;
      }
    }
    return latent;
  }

  /**
   * 1 where a pixel is made anew, 0 elsewhere.
   *
   * @return [factor * factor, height, width]: the pixels of a latent's pixel, row by row
   */
  float[] pixels(SampleShape shape) {
    int factor = mask.height() / shape.height();
    float[] pixels = new float[mask.height() * mask.width()];
    int place = 0;
    for (int i = 0; i < factor * factor; i++) {
      for (int y = 0; y < shape.height(); y++) {
        for (int x = 0; x < shape.width(); x++) {
          float value = mask.at(0, y * factor + i / factor, x * factor + i % factor);
          pixels[place++] = value >= THRESHOLD ? 1 : 0;
        }
      }
    }
    return pixels;
  }

  /**
   * What has to be put back after each step for networks that do not know the mask.
   *
   * @param image the encoded picture
   * @param noise that the picture began with
   */
  KnownPart known(SampleShape shape, float[] image, float[] noise) {
    return new KnownPart(latent(shape), image, noise);
  }

  /**
   * What is known of a sample, and is put back after each step, noised to the level of the next
   * one. Data that follows from the request.
   *
   * @param anew 1 where a value is made anew, 0 where it is known; repeated over the channels
   * @param image the known values, as large as the sample
   * @param noise that they began with
   */
  record KnownPart(float[] anew, float[] image, float[] noise) {
    void putBack(SamplerState state) {
      SamplingPlan plan = state.plan();
      double signal = state.done() ? 1 : plan.signalLevel(state.call());
      double level = state.done() ? 0 : plan.noiseLevel(state.call());
      float[] sample = state.sample().clone();
      for (int i = 0; i < sample.length; i++) {
        if (anew[i % anew.length] == 0) {
          sample[i] = (float) (signal * image[i] + level * noise[i]);
        }
      }
      state.replaceSample(sample);
    }
  }
}
