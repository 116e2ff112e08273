/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.fakes;

import io.github.flinkdiffusion.ops.pipeline.ClassMap;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import io.github.flinkdiffusion.ops.pipeline.Tiling;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;

/** Opens fakes that make images twice as large. */
public record FakeUpscalers(int channels, String digest, boolean tiles, ClassMap classes)
    implements PipelineFactory {
  private static final Tiling TILING = new Tiling(2, 1, 16);

  public FakeUpscalers(int channels, String digest) {
    this(channels, digest, true, null);
  }

  @Override
  public String model() {
    return "fake upscaler of " + channels + " " + digest;
  }

  @Override
  public DiffusionPipeline open(String device) {
    return pipeline();
  }

  public FakeUpscaler pipeline() {
    return new FakeUpscaler(
        channels,
        tiles ? TILING : null,
        digest,
        classes == null ? ResultMeaning.PICTURE : ResultMeaning.classes(classes));
  }
}
