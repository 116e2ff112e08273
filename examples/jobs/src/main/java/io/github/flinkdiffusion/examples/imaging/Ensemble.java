/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.util.ArrayList;
import java.util.List;

/**
 * Several samples for one picture: seeds 0, 1, 2...
 *
 * @param samples one a seed, each as the answer that it is alone
 * @param mean of them, the answer
 * @param spread one channel: the root of their variance, a mean over channels; the uncertainty
 */
record Ensemble(List<Raster> samples, Raster mean, Raster spread) {

  /** Samples of one picture, all in the same network calls. */
  static Ensemble of(DiffusionPipeline pipeline, Raster image, int samples, long steps) {
    List<GenerationRequest> requests = new ArrayList<>();
    for (int seed = 0; seed < samples; seed++) {
      requests.add(
          pipeline
              .model()
              .prepare(
                  GenerationSpec.of("sample " + seed)
                      .with(Parameters.IMAGE, image)
                      .with(Parameters.SEED, (long) seed)
                      .with(Parameters.STEPS, steps)));
    }
    List<Trajectory> trajectories = pipeline.start(requests);
    while (!trajectories.get(0).done()) {
      pipeline.step(trajectories);
    }
    return of(
        pipeline.finish(trajectories).stream().map(GeneratedImage::image).toList(),
        pipeline.model().result(requests.get(0).arguments()));
  }

  static Ensemble of(List<Raster> samples, ResultMeaning meaning) {
    var answer = io.github.flinkdiffusion.ops.imaging.Ensemble.answer(samples, meaning);
    return new Ensemble(
        samples.stream()
            .map(
                each ->
                    io.github.flinkdiffusion.ops.imaging.Ensemble.answer(List.of(each), meaning)
                        .mean())
            .toList(),
        answer.mean(),
        answer.spread());
  }

  /** The mean's error a pixel: the root of the squared differences, a mean over channels. */
  Raster error(Raster truth) {
    int plane = truth.height() * truth.width();
    float[] error = new float[plane];
    for (int i = 0; i < truth.data().length; i++) {
      double difference = mean.data()[i] - truth.data()[i];
      error[i % plane] += (float) (difference * difference / truth.channels());
    }
    for (int i = 0; i < plane; i++) {
      error[i] = (float) Math.sqrt(error[i]);
    }
    return new Raster(1, truth.height(), truth.width(), error);
  }

  /** A one-channel picture for people, its brightest pixel white. */
  static Raster shown(Raster values) {
    float most = 1e-6f;
    for (float value : values.data()) {
      most = Math.max(most, value);
    }
    float[] shown = new float[values.data().length];
    for (int i = 0; i < shown.length; i++) {
      shown[i] = values.data()[i] / most;
    }
    return new Raster(1, values.height(), values.width(), shown);
  }
}
