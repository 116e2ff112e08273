/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' ZImageTransformer2DModel: image and text in one stream. Each is filled up to a
 * multiple of 32 tokens with a learned token, which the others see.
 *
 * <p>{@code forward(sample [N,C,H,W], timestep float32 [N], text [N,T,cap_feat_dim], length float32
 * [N])} giving [N,C,H,W] in float32, as the pipeline needs it: the timestep is the scheduler's,
 * 1000 at pure noise, and the result's sign is turned around. {@code length} counts a text's own
 * tokens; T is at least that, rounded up to a multiple of 32, in every row.
 */
@Internal
public final class ZImage extends OneStream {
  /** What numbers of tokens are multiples of ({@code SEQ_MULTI_OF}). */
  public static final int TOKENS = 32;

  private static final int TIME_INPUT = 256;
  private static final int TIME_INNER = 1024;

  /** Most of the time's embedding ({@code ADALN_EMBED_DIM}). */
  private static final int TIME_SIZE = 256;

  private final ZImageConfig config;

  public ZImage(ZImageConfig config) {
    super(config, names(config.patchSize() + "-1"), TIME_SIZE);
    this.config = config;
  }

  private static Names names(String patches) {
    return new Names(
        "all_x_embedder." + patches,
        "all_final_layer." + patches,
        "adaLN_modulation.1",
        "linear",
        "attention_norm1",
        "attention_norm1",
        "attention_norm2",
        "attention");
  }

  @Override
  Value time(Scope at, Value timestep, Value dtype) {
    Method m = at.method();
    Scope embedder = at.child("t_embedder");
    Value left = m.multiply(m.add(m.multiply(timestep, -1), 1000), 1.0 / 1000);
    Value scaled = m.multiply(left, config.timeScale());
    Value embedded =
        TimestepEmbedding.sinusoidal(embedder, "frequencies", scaled, TIME_INPUT, true, 0);
    Value inner =
        m.silu(embedder.linear("mlp.0", m.castAs(embedded, dtype), TIME_INPUT, TIME_INNER));
    return embedder.linear("mlp.2", inner, TIME_INNER, timeSize());
  }

  @Override
  Value modulation(Scope layer, Value time) {
    return layer.linear("adaLN_modulation.0", time, timeSize(), 4 * config.size());
  }

  /** The text's, filled up. */
  @Override
  Value count(Method m, Value length) {
    return filled(m, length);
  }

  @Override
  Sequence image(Scope at, Value x, Value patches, Value count, Value dtype) {
    Method m = at.method();
    Sequence own = placedBehind(at, x, patches, m.add(count, 1));

    // Up to 31 more, all alike and at the first place.
    int most = TOKENS - 1;
    float[] places = new float[most];
    for (int i = 0; i < most; i++) {
      places[i] = i;
    }
    Value order = m.graph().constant("fillers", places);
    Value zeros =
        m.unflatten(
            m.graph().constant("filler_angles", new float[most * config.headSize() / 2]),
            0,
            most,
            config.headSize() / 2);
    Value indices = m.indices(x, 1);
    // The mean of 0 .. T-1 tells T.
    Value tokens = m.add(m.multiply(m.meanAlong(indices, 0), 2), 1);
    Value missing = m.add(m.subtract(filled(m, tokens), tokens), m.multiply(count, 0));
    Value filler =
        m.add(
            m.multiply(m.narrow(x, 1, 0, 1), 0),
            m.add(
                m.unsqueeze(at.parameter("x_pad_token", 1, config.size()), 0),
                m.castAs(m.multiply(m.unsqueeze(m.unsqueeze(order, 1), 0), 0), dtype)));
    Sequence fillers =
        new Sequence(
            filler,
            m.add(m.unsqueeze(zeros, 0), zeroOfRow(m, count)),
            Rotary.first(m, missing, order));
    return own.then(m, fillers);
  }

  @Override
  Sequence words(Scope at, Value text, Value length, Value count, Value dtype) {
    Method m = at.method();
    Value embedded = embedded(at.child("cap_embedder"), text, dtype);
    Value places = m.indices(text, 1);
    Value own = m.castAs(m.unsqueeze(Rotary.first(m, length, places), 2), dtype);
    Value pad = m.unsqueeze(at.parameter("cap_pad_token", 1, config.size()), 0);
    Value tokens = m.add(m.multiply(embedded, own), m.multiply(pad, m.add(m.multiply(own, -1), 1)));
    return placed(at, tokens, m.add(places, 1), count, places);
  }

  /** A number of tokens rounded up. */
  private static Value filled(Method m, Value tokens) {
    return m.multiply(m.floor(m.multiply(m.add(tokens, TOKENS - 1), 1.0 / TOKENS)), TOKENS);
  }

  @Override
  Value attention(Scope at, Value x, Places places) {
    return attention(at, x, places, config.heads(), config.headNorms());
  }

  @Override
  Value feedForward(Scope at, Value x) {
    return gated(at, x, (int) (config.size() / 3.0 * 8), "w1", "w3", "w2");
  }
}
