/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.UNet2DCondition.Conditions;

/**
 * What the residual blocks of a UNet2DConditionModel see: the sum of the embeddings of timestep,
 * guidance, class, and what the config adds.
 */
final class UNetTimeEmbedding {
  private final UNet2DConditionConfig config;

  UNetTimeEmbedding(UNet2DConditionConfig config) {
    this.config = config;
  }

  /**
   * The sum of all embeddings [N,timeEmbedding] that the residual blocks see.
   *
   * @param tokens the context as the network is given it, null where it has none
   * @param image an image's embedding, null where the network has none
   */
  Value emit(
      Scope at, Value timestep, Value tokens, Value image, Conditions conditions, Value dtype) {
    Method m = at.method();
    int first = config.timeInput();
    int size = config.timeEmbedding();
    ClassEmbedding.TimeInput input =
        new ClassEmbedding.TimeInput(first, size, each -> projected(at, each));
    Scope embedding = at.child("time_embedding");
    Value sinusoidal = m.castAs(projected(at, timestep), dtype);
    if (config.guidanceEmbedding() > 0) {
      Value guidance = m.castAs(conditions.guidance(), dtype);
      sinusoidal =
          m.add(
              sinusoidal,
              embedding.linearWithoutBias(
                  "cond_proj", guidance, config.guidanceEmbedding(), first));
    }
    Value time = TimestepEmbedding.project(embedding, sinusoidal, first, size, config.activation());
    if (config.timeActivation().isPresent()) {
      time = config.timeActivation().get().apply(m, time);
    }
    if (config.classEmbedding().exists()) {
      Value label =
          config
              .classEmbedding()
              .emit(
                  at.child("class_embedding"),
                  conditions.classLabels(),
                  input,
                  config.activation(),
                  dtype);
      time = config.classConcatenated() ? m.concatenate(-1, time, label) : m.add(time, label);
    }
    if (config.textTime().isPresent()) {
      time = m.add(time, textTime(at, config.textTime().get(), conditions, dtype));
    } else if (config.addition().kind() != AddedEmbedding.Kind.NONE) {
      Value text =
          conditions.pooledText() == null ? null : m.castAs(conditions.pooledText(), dtype);
      time =
          m.add(time, config.addition().emit(at.child("add_embedding"), tokens, text, image, size));
    }
    return config.embeddingActivation().isPresent()
        ? config.embeddingActivation().get().apply(m, time)
        : time;
  }

  /** Timesteps [N] as [N,timeInput], in float32. */
  private Value projected(Scope at, Value timesteps) {
    return config.fourier()
        ? TimestepEmbedding.fourier(
            at.child("time_proj"), timesteps, config.timeInput() / 2, config.flipSinToCos())
        : TimestepEmbedding.sinusoidal(
            at,
            "time_frequencies",
            timesteps,
            config.timeInput(),
            config.flipSinToCos(),
            config.frequencyShift());
  }

  private Value textTime(
      Scope at, UNet2DConditionConfig.TextTime settings, Conditions conditions, Value dtype) {
    Method m = at.method();
    Value numbers =
        TimestepEmbedding.sinusoidal(
            at,
            "add_time_frequencies",
            conditions.timeIds(),
            settings.timeSize(),
            config.flipSinToCos(),
            config.frequencyShift());
    Value both = m.concatenate(-1, conditions.pooledText(), m.flatten(numbers, 1, 2));
    return TimestepEmbedding.project(
        at.child("add_embedding"),
        m.castAs(both, dtype),
        settings.inputSize(),
        config.timeEmbedding(),
        Activation.SILU);
  }
}
