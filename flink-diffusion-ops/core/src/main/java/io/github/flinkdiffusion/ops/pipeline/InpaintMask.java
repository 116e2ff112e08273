package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import java.util.function.Consumer;

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
   * Puts the known part back after each step, noised to the level of the next one, for networks
   * that do not know the mask.
   *
   * @param image the encoded picture
   * @param noise that the picture began with
   */
  Consumer<SamplerState> putBack(SampleShape shape, float[] image, float[] noise) {
    float[] anew = latent(shape);
    return state -> {
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
    };
  }
}
