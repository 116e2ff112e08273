/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.Arrays;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' Lumina2Transformer2DModel: image and text in one stream, after each has gone through
 * layers of its own, with rotary positions along the text, the rows and the columns. Groups of
 * heads share keys and values.
 */
@Internal
public final class Lumina2 extends DenoisingTransformer {
  private static final int TIME_INPUT = 256;

  /** Most of the time's embedding. */
  private static final int TIME_SIZE = 1024;

  private static final double THETA = 10_000;
  private static final double HEAD_EPSILON = 1e-5;
  private static final double FINAL_EPSILON = 1e-6;

  /** Steps of the scheduler from noise to image. */
  private static final double TIMESTEPS = 1000;

  private final Lumina2Config config;

  public Lumina2(Lumina2Config config) {
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
   * result's sign is turned around. {@code length} counts a text's own tokens.
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
    int patch = Lumina2Config.PATCH;
    int pixels = patch * patch * config.channels();
    Value dtype = at.parameter("x_embedder.bias", size);
    Value time = time(at.child("time_caption_embed.timestep_embedder"), timestep, dtype);
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
    x = at.linear("x_embedder", x, pixels, size);

    Sequence image = layers(at, "noise_refiner", image(at, x, patches, length), time);
    Sequence words = layers(at, "context_refiner", words(at, text, length, dtype), null);
    Value out = inner.after(m, layers(at, image.then(m, words), time, x, inner));
    Scope last = at.child("norm_out");
    Value scale = m.add(last.linear("linear_1", m.silu(time), timeSize(), size), 1);
    out = m.multiply(m.layerNorm(out, size, null, null, FINAL_EPSILON), m.unsqueeze(scale, 1));
    out = last.linear("linear_2", out, size, pixels);
    out = m.unflatten(m.unflattenAs(out, 1, patches, 1), 3, patch, patch, config.channels());
    return m.flatten(m.flatten(m.permute(out, 0, 5, 1, 3, 2, 4), 4, 5), 2, 3);
  }

  private int timeSize() {
    return Math.min(config.size(), TIME_SIZE);
  }

  private Value time(Scope at, Value timestep, Value dtype) {
    Method m = at.method();
    Value gone = m.add(m.multiply(timestep, -1 / TIMESTEPS), 1);
    Value embedded = TimestepEmbedding.sinusoidal(at, "frequencies", gone, TIME_INPUT, true, 0);
    Value inner = m.silu(at.linear("linear_1", m.castAs(embedded, dtype), TIME_INPUT, timeSize()));
    return at.linear("linear_2", inner, timeSize(), timeSize());
  }

  /** The patches, at the place behind the text. */
  private Sequence image(Scope at, Value x, Value patches, Value length) {
    Method m = at.method();
    var grid =
        Rotary.grid(
            m,
            Rotary.angles(at, "rows", m.indices(patches, 1), THETA, config.rowAxis()),
            Rotary.angles(at, "columns", m.indices(patches, 2), THETA, config.columnAxis()));
    // [N,1,.] and [1,T,.]: the text is of another length in each row.
    Value behind = Rotary.angles(at, "places", m.unsqueeze(length, 1), THETA, config.textAxis());
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
    return new Sequence(x, angles, ones);
  }

  private Sequence words(Scope at, Value text, Value length, Value dtype) {
    Method m = at.method();
    Scope embedder = at.child("time_caption_embed.caption_embedder");
    Value normed =
        m.rmsNorm(
            m.castAs(text, dtype),
            config.textSize(),
            embedder.parameter("0.weight", config.textSize()),
            config.epsilon());
    Value tokens = embedder.linear("1", normed, config.textSize(), config.size());
    Value places = m.indices(text, 1);
    Value angles = Rotary.angles(at, "places", places, THETA, config.textAxis());
    int rest = (config.rowAxis() + config.columnAxis()) / 2;
    Value zeros =
        m.add(
            m.multiply(m.narrow(angles, 1, 0, 1), 0),
            m.graph().constant("no_angles", new float[rest]));
    Value all = m.unsqueeze(m.concatenate(1, angles, zeros), 0);
    Value zeroOfRow = m.multiply(m.unsqueeze(m.unsqueeze(length, 1), 1), 0);
    return new Sequence(tokens, m.add(all, zeroOfRow), Rotary.first(m, length, places));
  }

  /**
   * @param time null for layers that it does not change
   */
  private Sequence layers(Scope at, String list, Sequence sequence, Value time) {
    Places places = sequence.places(at.method());
    Value x = sequence.tokens();
    for (int i = 0; i < config.refinerLayers(); i++) {
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
    if (time == null) {
      Value y = m.add(x, norm(at, "norm2", attention(at, norm(at, "norm1", x), places)));
      return m.add(y, norm(at, "ffn_norm2", feedForward(at, norm(at, "ffn_norm1", y))));
    }
    int size = config.size();
    Scope first = at.child("norm1");
    Value all = m.unsqueeze(first.linear("linear", m.silu(time), timeSize(), 4 * size), 1);
    Value[] parts = new Value[4];
    for (int i = 0; i < 4; i++) {
      Value part = m.narrow(all, 2, (long) i * size, size);
      // Scale and gate of attention, then of the feed-forward.
      parts[i] = i % 2 == 0 ? m.add(part, 1) : m.tanh(part);
    }
    Value h = attention(at, m.multiply(norm(first, "norm", x), parts[0]), places);
    Value y = m.add(x, m.multiply(norm(at, "norm2", h), parts[1]));
    h = feedForward(at, m.multiply(norm(at, "ffn_norm1", y), parts[2]));
    return m.add(y, m.multiply(norm(at, "ffn_norm2", h), parts[3]));
  }

  private Value attention(Scope layer, Value x, Places places) {
    Scope at = layer.child("attn");
    Method m = at.method();
    Value q = turned(at, "q", x, config.heads(), places);
    Value k = shared(m, turned(at, "k", x, config.keyHeads(), places));
    int inner = config.keyHeads() * config.headSize();
    Value v =
        shared(
            m,
            Rotary.heads(
                m,
                at.linearWithoutBias("to_v", x, config.size(), inner),
                config.keyHeads(),
                config.headSize()));
    Value attended = m.attention(q, k, v, places.bias());
    return at.linearWithoutBias(
        "to_out.0", Rotary.joined(m, attended), config.size(), config.size());
  }

  private Value turned(Scope at, String name, Value x, int heads, Places places) {
    Method m = at.method();
    int head = config.headSize();
    Value all = at.linearWithoutBias("to_" + name, x, config.size(), heads * head);
    Value normed =
        m.rmsNorm(
            m.unflatten(all, 2, heads, head),
            head,
            at.parameter("norm_" + name + ".weight", head),
            HEAD_EPSILON);
    return m.rotate(m.transpose(normed, 1, 2), places.cos(), places.sin(), head / 2, true);
  }

  /** Keys or values of each group of heads, once for each head of it. */
  private Value shared(Method m, Value x) {
    Value[] same = new Value[config.heads() / config.keyHeads()];
    Arrays.fill(same, m.unsqueeze(x, 2));
    return same.length == 1 ? x : m.flatten(m.concatenate(2, same), 1, 2);
  }

  private Value feedForward(Scope layer, Value x) {
    Scope at = layer.child("feed_forward");
    Method m = at.method();
    Value gate = m.silu(at.linearWithoutBias("linear_1", x, config.size(), config.innerSize()));
    Value up = at.linearWithoutBias("linear_3", x, config.size(), config.innerSize());
    return at.linearWithoutBias(
        "linear_2", m.multiply(gate, up), config.innerSize(), config.size());
  }

  private Value norm(Scope at, String name, Value x) {
    return at.method()
        .rmsNorm(x, config.size(), at.parameter(name + ".weight", config.size()), config.epsilon());
  }
}
