/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' ZImageTransformer2DModel: image and text in one stream, after each has gone through
 * layers of its own, with rotary positions along the text, the rows and the columns.
 *
 * <p>Image and text are each filled up to a multiple of 32 tokens with a learned token, which the
 * others see.
 */
@Internal
public final class ZImage extends DenoisingTransformer {
  /** What numbers of tokens are multiples of ({@code SEQ_MULTI_OF}). */
  public static final int TOKENS = 32;

  private static final int TIME_INPUT = 256;
  private static final int TIME_INNER = 1024;

  /** Most of the time's embedding ({@code ADALN_EMBED_DIM}). */
  private static final int TIME_SIZE = 256;

  private static final double HEAD_EPSILON = 1e-5;
  private static final double FINAL_EPSILON = 1e-6;

  private final ZImageConfig config;

  public ZImage(ZImageConfig config) {
    this.config = config;
  }

  /** Tokens with their places, and which of them are seen. */
  private record Sequence(Value tokens, Value angles, Value seen) {
    Sequence then(Method m, Sequence other) {
      return new Sequence(
          m.concatenate(1, tokens, other.tokens),
          m.concatenate(1, angles, other.angles),
          m.concatenate(1, seen, other.seen));
    }

    /** What all layers need of it. */
    Places places(Method m) {
      return new Places(m.cos(angles), m.sin(angles), Rotary.bias(m, seen, tokens));
    }
  }

  /**
   * Where tokens are, for attention.
   *
   * @param bias hides what is not seen
   */
  private record Places(Value cos, Value sin, Value bias) {}

  /**
   * {@code forward(sample [N,C,H,W], timestep float32 [N], text [N,T,cap_feat_dim], length float32
   * [N])} giving [N,C,H,W] in float32.
   *
   * <p>As the pipeline needs it: the timestep is the scheduler's, 1000 at pure noise, and the
   * result's sign is turned around. {@code length} counts a text's own tokens; T is at least that,
   * rounded up to a multiple of 32, in every row.
   */
  @Override
  Value emit(Method method, InnerBlocks inner) {
    Value sample = method.input("sample", 4);
    Value timestep = method.input("timestep", 1);
    Value text = method.input("text", 3);
    Value length = method.input("length", 1);
    return method.toFloat(
        method.multiply(emit(new Scope(method, ""), sample, timestep, text, length, inner), -1));
  }

  @Override
  int blocks() {
    return config.layers();
  }

  private Value emit(
      Scope at, Value sample, Value timestep, Value text, Value length, InnerBlocks inner) {
    Method m = at.method();
    int size = config.size();
    int patch = config.patchSize();
    int pixels = patch * patch * config.channels();
    String key = patch + "-1";
    Value dtype = at.parameter("all_x_embedder." + key + ".bias", size);
    Value time = time(at.child("t_embedder"), timestep, dtype);
    Value patches =
        m.permute(
            m.unflatten(m.unflatten(m.castAs(sample, dtype), 2, -1, patch), 4, -1, patch),
            0,
            2,
            4,
            3,
            5,
            1);
    Value x = m.flatten(m.flatten(patches, 3, 5), 1, 2);
    x = at.linear("all_x_embedder." + key, x, pixels, size);
    Value count = filled(m, length);

    Sequence image = image(at, x, patches, count, dtype);
    image = layers(at, "noise_refiner", config.refinerLayers(), image, time);
    Sequence words = words(at, text, length, count, dtype);
    words = layers(at, "context_refiner", config.refinerLayers(), words, null);
    Value out = inner.after(m, layers(at, image.then(m, words), time, x, inner));
    Scope last = at.child("all_final_layer." + key);
    Value scale = m.add(last.linear("adaLN_modulation.1", m.silu(time), timeSize(), size), 1);
    out = m.multiply(m.layerNorm(out, size, null, null, FINAL_EPSILON), m.unsqueeze(scale, 1));
    out = last.linear("linear", out, size, pixels);
    out = m.unflatten(m.unflattenAs(out, 1, patches, 1), 3, patch, patch, config.channels());
    return m.flatten(m.flatten(m.permute(out, 0, 5, 1, 3, 2, 4), 4, 5), 2, 3);
  }

  private int timeSize() {
    return Math.min(config.size(), TIME_SIZE);
  }

  private Value time(Scope at, Value timestep, Value dtype) {
    Method m = at.method();
    Value left = m.multiply(m.add(m.multiply(timestep, -1), 1000), 1.0 / 1000);
    Value embedded =
        TimestepEmbedding.sinusoidal(
            at, "frequencies", m.multiply(left, config.timeScale()), TIME_INPUT, true, 0);
    Value inner = m.silu(at.linear("mlp.0", m.castAs(embedded, dtype), TIME_INPUT, TIME_INNER));
    return at.linear("mlp.2", inner, TIME_INNER, timeSize());
  }

  /** The patches, at the place behind the text, and the tokens that fill them up. */
  private Sequence image(Scope at, Value x, Value patches, Value count, Value dtype) {
    Method m = at.method();
    double theta = config.theta();
    List<Value> grid =
        Rotary.grid(
            m,
            Rotary.angles(at, "rows", m.indices(patches, 1), theta, config.rowAxis()),
            Rotary.angles(at, "columns", m.indices(patches, 2), theta, config.columnAxis()));
    // [N,1,.] and [1,T,.]: the text is of another length in each row.
    Value behind =
        Rotary.angles(at, "places", m.unsqueeze(m.add(count, 1), 1), theta, config.textAxis());
    Value rows = m.unsqueeze(grid.get(0), 0);
    Value columns = m.unsqueeze(grid.get(1), 0);
    Value zeroOfRow = m.multiply(m.narrow(behind, 2, 0, 1), 0);
    Value angles =
        m.concatenate(
            2,
            m.add(behind, m.multiply(m.narrow(rows, 2, 0, 1), 0)),
            m.add(rows, zeroOfRow),
            m.add(columns, zeroOfRow));
    Value ones = m.add(m.multiply(m.squeeze(m.narrow(angles, 2, 0, 1), 2), 0), 1);

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
            filler, m.add(m.unsqueeze(zeros, 0), zeroOfRow), Rotary.first(m, missing, order));
    return new Sequence(x, angles, ones).then(m, fillers);
  }

  private Sequence words(Scope at, Value text, Value length, Value count, Value dtype) {
    Method m = at.method();
    int size = config.size();
    Value normed =
        m.rmsNorm(
            m.castAs(text, dtype),
            config.textSize(),
            at.parameter("cap_embedder.0.weight", config.textSize()),
            config.epsilon());
    Value embedded = at.linear("cap_embedder.1", normed, config.textSize(), size);
    Value places = m.indices(text, 1);
    Value own = m.castAs(m.unsqueeze(Rotary.first(m, length, places), 2), dtype);
    Value pad = m.unsqueeze(at.parameter("cap_pad_token", 1, size), 0);
    Value tokens = m.add(m.multiply(embedded, own), m.multiply(pad, m.add(m.multiply(own, -1), 1)));
    Value angles = Rotary.angles(at, "places", m.add(places, 1), config.theta(), config.textAxis());
    int rest = (config.rowAxis() + config.columnAxis()) / 2;
    Value zeros =
        m.add(
            m.multiply(m.narrow(angles, 1, 0, 1), 0),
            m.graph().constant("no_angles", new float[rest]));
    Value all = m.unsqueeze(m.concatenate(1, angles, zeros), 0);
    Value zeroOfRow = m.multiply(m.unsqueeze(m.unsqueeze(count, 1), 1), 0);
    return new Sequence(tokens, m.add(all, zeroOfRow), Rotary.first(m, count, places));
  }

  /** A number of tokens rounded up. */
  private static Value filled(Method m, Value tokens) {
    return m.multiply(m.floor(m.multiply(m.add(tokens, TOKENS - 1), 1.0 / TOKENS)), TOKENS);
  }

  /**
   * @param time null for layers that it does not change
   */
  private Sequence layers(Scope at, String list, int count, Sequence sequence, Value time) {
    Places places = sequence.places(at.method());
    Value x = sequence.tokens();
    for (int i = 0; i < count; i++) {
      x = layer(at.child(list, i), x, places, time);
    }
    return new Sequence(x, sequence.angles(), sequence.seen());
  }

  /**
   * The patches after the layers in which all tokens are together.
   *
   * @param x patches, with which the sequence begins
   */
  private Value layers(Scope at, Sequence sequence, Value time, Value x, InnerBlocks inner) {
    Method m = at.method();
    Places places = sequence.places(m);
    Value tokens = sequence.tokens();
    for (int i = 0; i < config.layers() && inner.computes(i, m.firstAs(tokens, 1, x, 1)); i++) {
      tokens = layer(at.child("layers", i), tokens, places, time);
    }
    return m.firstAs(tokens, 1, x, 1);
  }

  private Value layer(Scope at, Value x, Places places, Value time) {
    Method m = at.method();
    int size = config.size();
    Value[] parts = new Value[4];
    if (time != null) {
      Value all = m.unsqueeze(at.linear("adaLN_modulation.0", time, timeSize(), 4 * size), 1);
      for (int i = 0; i < 4; i++) {
        Value part = m.narrow(all, 2, (long) i * size, size);
        // Scale and gate of attention, then of the feed-forward.
        parts[i] = i % 2 == 0 ? m.add(part, 1) : m.tanh(part);
      }
    }
    Value h = times(m, norm(at, "attention_norm1", x), parts[0]);
    h = norm(at, "attention_norm2", attention(at.child("attention"), h, places));
    Value y = m.add(x, times(m, h, parts[1]));
    h = times(m, norm(at, "ffn_norm1", y), parts[2]);
    h = norm(at, "ffn_norm2", feedForward(at.child("feed_forward"), h));
    return m.add(y, times(m, h, parts[3]));
  }

  private static Value times(Method m, Value x, Value factor) {
    return factor == null ? x : m.multiply(x, factor);
  }

  private Value attention(Scope at, Value x, Places places) {
    Method m = at.method();
    int size = config.size();
    Value q = turned(at, "q", x, places);
    Value k = turned(at, "k", x, places);
    Value v =
        Rotary.heads(
            m, at.linearWithoutBias("to_v", x, size, size), config.heads(), config.headSize());
    Value attended = m.attention(q, k, v, places.bias());
    return at.linearWithoutBias("to_out.0", Rotary.joined(m, attended), size, size);
  }

  private Value turned(Scope at, String name, Value x, Places places) {
    Method m = at.method();
    int head = config.headSize();
    Value all = at.linearWithoutBias("to_" + name, x, config.size(), config.size());
    Value heads = m.unflatten(all, 2, config.heads(), head);
    if (config.headNorms()) {
      heads = m.rmsNorm(heads, head, at.parameter("norm_" + name + ".weight", head), HEAD_EPSILON);
    }
    return m.rotate(m.transpose(heads, 1, 2), places.cos(), places.sin(), head / 2, true);
  }

  private Value feedForward(Scope at, Value x) {
    Method m = at.method();
    int size = config.size();
    int inner = (int) (size / 3.0 * 8);
    Value gate = m.silu(at.linearWithoutBias("w1", x, size, inner));
    Value up = at.linearWithoutBias("w3", x, size, inner);
    return at.linearWithoutBias("w2", m.multiply(gate, up), inner, size);
  }

  private Value norm(Scope at, String name, Value x) {
    return at.method()
        .rmsNorm(x, config.size(), at.parameter(name + ".weight", config.size()), config.epsilon());
  }
}
