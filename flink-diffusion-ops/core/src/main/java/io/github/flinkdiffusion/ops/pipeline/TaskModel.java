/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import java.util.Optional;
import java.util.stream.IntStream;

/** What a {@link Task} with its weights tells of itself. */
record TaskModel(ModelInfo info, Task task) implements Model {

  @Override
  public Signature signature() {
    return task.description().signature();
  }

  @Override
  public int imageChannels() {
    return task.description().imageChannels();
  }

  @Override
  public Optional<Tiling> tiling() {
    return task.description().tiling();
  }

  @Override
  public ResultMeaning result(Arguments request) {
    return task.result(request);
  }

  @Override
  public String taskName(Arguments request) {
    return task.name(request);
  }

  @Override
  public GenerationRequest prepare(GenerationSpec spec) {
    GenerationRequest request = task.check(signature().resolve(spec));
    if (request.get(Parameters.TILE_TOP_LEFT) != null) {
      tiling().ifPresent(tiling -> tiling.check(request));
      if (task.plan(request).seedsItsOwnNoise()) {
        throw new InvalidRequestException(
            ("scheduler is %s, whose config has a noise_sampler_seed: parts of a larger image would"
                    + " differ where they overlap. Choose another scheduler, or leave the seed out.")
                .formatted(request.scheduler()));
      }
    }
    task.plan(request);
    return request;
  }

  @Override
  public int calls(GenerationRequest request) {
    return task.plan(request).calls();
  }

  @Override
  public long trajectoryBytes(GenerationRequest request) {
    SamplingPlan plan = task.plan(request);
    int remembered = IntStream.range(0, plan.calls()).map(plan::historyLength).max().orElse(0);
    return task.shape(request)
        .map(shape -> (1L + remembered) * shape.size() * Float.BYTES)
        .orElse(0L);
  }

  @Override
  public long rowBytes(GenerationRequest request) {
    return task.rowBytes(request);
  }

  @Override
  public long encodedPixels(GenerationRequest request) {
    return task.encodedPixels(request);
  }

  @Override
  public long encodedTokens(GenerationRequest request) {
    return task.encodedTokens(request);
  }
}
