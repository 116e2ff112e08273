/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' Lumina2Transformer2DModel: image and text in one stream. Groups of heads share keys
 * and values.
 *
 * <p>{@code forward(sample [N,C,H,W], timestep float32 [N], text [N,T,cap_feat_dim], length float32
 * [N])} giving [N,C,H,W] in float32, as the pipeline needs it: the timestep is the scheduler's,
 * 1000 at pure noise, and the result's sign is turned around. {@code length} counts a text's own
 * tokens.
 */
@Internal
public final class Lumina2 extends OneStream {
  /** Most of the time's embedding. */
  private static final int TIME_SIZE = 1024;

  /** Steps of the scheduler from noise to image. */
  private static final double TIMESTEPS = 1000;

  private static final Names NAMES =
      new Names(
          "x_embedder", "norm_out", "linear_1", "linear_2", "norm1.norm", "norm1", "norm2", "attn");

  private final Lumina2Config config;

  public Lumina2(Lumina2Config config) {
    super(config, NAMES, TIME_SIZE);
    this.config = config;
  }

  @Override
  Value time(Scope at, Value timestep, Value dtype) {
    Method m = at.method();
    Scope embedder = at.child("time_caption_embed.timestep_embedder");
    Value gone = m.add(m.multiply(timestep, -1 / TIMESTEPS), 1);
    return TimestepEmbedding.ofTransformer(
        embedder, "frequencies", gone, dtype, embedder, timeSize());
  }

  @Override
  Value modulation(Scope layer, Value time) {
    Method m = layer.method();
    return layer.child("norm1").linear("linear", m.silu(time), timeSize(), 4 * config.size());
  }

  @Override
  Value count(Method m, Value length) {
    return length;
  }

  @Override
  Sequence image(Scope at, Value x, Value patches, Value count, Value dtype) {
    return placedBehind(at, x, patches, count);
  }

  @Override
  Sequence words(Scope at, Value text, Value length, Value count, Value dtype) {
    Value tokens = embedded(at.child("time_caption_embed.caption_embedder"), text, dtype);
    Value places = at.method().indices(text, 1);
    return placed(at, tokens, places, count, places);
  }

  @Override
  Value attention(Scope at, Value x, Places places) {
    return attention(at, x, places, config.keyHeads(), true);
  }

  @Override
  Value feedForward(Scope at, Value x) {
    return gated(at, x, config.innerSize(), "linear_1", "linear_3", "linear_2");
  }
}
