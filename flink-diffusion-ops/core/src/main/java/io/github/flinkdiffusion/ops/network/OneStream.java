/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.Arrays;
import java.util.List;

/**
 * A transformer of image and text in one stream, after each has gone through layers of its own,
 * with rotary positions along the text, the rows and the columns.
 */
abstract class OneStream extends DenoisingTransformer {
  private static final double HEAD_EPSILON = 1e-5;
  private static final double FINAL_EPSILON = 1e-6;

  private final OneStreamShape config;
  private final Names names;
  private final int timeSize;

  /**
   * What checkpoints call layers.
   *
   * @param patches the first layer
   * @param last the last layers
   * @param lastScale of these, the one that scales tokens
   * @param lastPatches of these, the one that makes patches
   * @param firstNorm of a layer, before attention, if the time changes it
   * @param firstNormAlone the same, otherwise
   * @param secondNorm after attention
   * @param attention of a layer
   */
  record Names(
      String patches,
      String last,
      String lastScale,
      String lastPatches,
      String firstNorm,
      String firstNormAlone,
      String secondNorm,
      String attention) {}

  /** Tokens with their places, and which of them are seen. */
  record Sequence(Value tokens, Value angles, Value seen) {
    Sequence then(Method m, Sequence other) {
      return new Sequence(
          m.concatenate(1, tokens, other.tokens),
          m.concatenate(1, angles, other.angles),
          m.concatenate(1, seen, other.seen));
    }

    /** What all layers need of it. */
    private Places places(Method m) {
      return new Places(m.cos(angles), m.sin(angles), Rotary.bias(m, seen, tokens));
    }
  }

  /**
   * Where tokens are, for attention.
   *
   * @param bias hides what is not seen
   */
  record Places(Value cos, Value sin, Value bias) {}

  /**
   * @param mostTime largest size of the time's embedding
   */
  OneStream(OneStreamShape config, Names names, int mostTime) {
    this.config = config;
    this.names = names;
    this.timeSize = Math.min(config.size(), mostTime);
  }

  /** {@return of the time's embedding} */
  final int timeSize() {
    return timeSize;
  }

  /** The time's embedding. */
  abstract Value time(Scope at, Value timestep, Value dtype);

  /** Scales and gates of attention and feed-forward of a layer, [N,4*size]. */
  abstract Value modulation(Scope layer, Value time);

  abstract Value attention(Scope at, Value x, Places places);

  abstract Value feedForward(Scope layer, Value x);

  /** Tokens of the text as the image's places follow it. */
  abstract Value count(Method m, Value length);

  /** The patches, and what fills them up. */
  abstract Sequence image(Scope at, Value x, Value patches, Value count, Value dtype);

  /** The text, and what fills it up. */
  abstract Sequence words(Scope at, Value text, Value length, Value count, Value dtype);

  @Override
  final Value emit(Method method, InnerBlocks inner) {
    Value sample = method.input("sample", 4);
    Value timestep = method.input("timestep", 1);
    Value text = method.input("text", 3);
    Value length = method.input("length", 1);
    return method.toFloat(
        method.multiply(emit(new Scope(method, ""), sample, timestep, text, length, inner), -1));
  }

  @Override
  final int blocks() {
    return config.layers();
  }

  private Value emit(
      Scope at, Value sample, Value timestep, Value text, Value length, InnerBlocks inner) {
    Method m = at.method();
    int size = config.size();
    int patch = config.patchSize();
    int pixels = patch * patch * config.channels();
    Value dtype = at.parameter(names.patches() + ".bias", size);
    Value time = time(at, timestep, dtype);
    Value patches = Patches.channelsLast(m, m.castAs(sample, dtype), patch);
    Value x = at.linear(names.patches(), Patches.tokens(m, patches), pixels, size);
    Value count = count(m, length);
    Sequence image = layers(at, "noise_refiner", image(at, x, patches, count, dtype), time);
    Sequence words = layers(at, "context_refiner", words(at, text, length, count, dtype), null);
    Value out = inner.after(m, layers(at, image.then(m, words), time, x, inner));
    Scope last = at.child(names.last());
    Value scale = m.add(last.linear(names.lastScale(), m.silu(time), timeSize, size), 1);
    out = m.multiply(m.layerNorm(out, size, null, null, FINAL_EPSILON), m.unsqueeze(scale, 1));
    out = last.linear(names.lastPatches(), out, size, pixels);
    return Patches.joinedChannelsLast(
        m, m.unflattenAs(out, 1, patches, 1), patch, config.channels());
  }

  /**
   * The patches alone, at places behind the text.
   *
   * @param behind the place in the text at which they are, float32 [N]
   */
  final Sequence placedBehind(Scope at, Value x, Value patches, Value behind) {
    Method m = at.method();
    double theta = config.theta();
    List<Value> grid =
        Rotary.grid(
            m,
            Rotary.angles(at, "rows", m.indices(patches, 1), theta, config.rowAxis()),
            Rotary.angles(at, "columns", m.indices(patches, 2), theta, config.columnAxis()));
    // [N,1,.] and [1,T,.]: the text is of another length in each row.
    Value place = Rotary.angles(at, "places", m.unsqueeze(behind, 1), theta, config.textAxis());
    Value rows = m.unsqueeze(grid.get(0), 0);
    Value columns = m.unsqueeze(grid.get(1), 0);
    Value zeroOfRow = zeroOfRow(m, behind);
    Value angles =
        m.concatenate(
            2,
            m.add(place, m.multiply(m.narrow(rows, 2, 0, 1), 0)),
            m.add(rows, zeroOfRow),
            m.add(columns, zeroOfRow));
    Value ones = m.add(m.multiply(m.squeeze(m.narrow(angles, 2, 0, 1), 2), 0), 1);
    return new Sequence(x, angles, ones);
  }

  /** 0 for each row, [N,1,1]. */
  static Value zeroOfRow(Method m, Value rows) {
    return m.multiply(m.unsqueeze(m.unsqueeze(rows, 1), 1), 0);
  }

  /** A text's states, normed and in a token's size. */
  final Value embedded(Scope embedder, Value text, Value dtype) {
    Method m = embedder.method();
    Value normed =
        m.rmsNorm(
            m.castAs(text, dtype),
            config.textSize(),
            embedder.parameter("0.weight", config.textSize()),
            config.epsilon());
    return embedder.linear("1", normed, config.textSize(), config.size());
  }

  /**
   * Tokens at places in the text.
   *
   * @param places of them, [T]
   * @param count of the first of them, which are seen
   * @param indices 0, 1, 2 ... [T]
   */
  final Sequence placed(Scope at, Value tokens, Value places, Value count, Value indices) {
    Method m = at.method();
    Value angles = Rotary.angles(at, "places", places, config.theta(), config.textAxis());
    int rest = (config.rowAxis() + config.columnAxis()) / 2;
    Value zeros =
        m.add(
            m.multiply(m.narrow(angles, 1, 0, 1), 0),
            m.graph().constant("no_angles", new float[rest]));
    Value all = m.unsqueeze(m.concatenate(1, angles, zeros), 0);
    return new Sequence(tokens, m.add(all, zeroOfRow(m, count)), Rotary.first(m, count, indices));
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
    Value[] parts = new Value[4];
    if (time != null) {
      Value all = m.unsqueeze(modulation(at, time), 1);
      for (int i = 0; i < 4; i++) {
        Value part = m.narrow(all, 2, (long) i * config.size(), config.size());
        // Scale and gate of attention, then of the feed-forward.
        parts[i] = i % 2 == 0 ? m.add(part, 1) : m.tanh(part);
      }
    }
    String first = time == null ? names.firstNormAlone() : names.firstNorm();
    Value h =
        attention(at.child(names.attention()), times(m, norm(at, first, x), parts[0]), places);
    Value y = m.add(x, times(m, norm(at, names.secondNorm(), h), parts[1]));
    h = feedForward(at.child("feed_forward"), times(m, norm(at, "ffn_norm1", y), parts[2]));
    return m.add(y, times(m, norm(at, "ffn_norm2", h), parts[3]));
  }

  private static Value times(Method m, Value x, Value factor) {
    return factor == null ? x : m.multiply(x, factor);
  }

  private Value norm(Scope at, String name, Value x) {
    int size = config.size();
    return at.method().rmsNorm(x, size, at.parameter(name + ".weight", size), config.epsilon());
  }

  /**
   * @param keyHeads groups of heads that share keys and values
   * @param normed whether queries and keys are
   */
  final Value attention(Scope at, Value x, Places places, int keyHeads, boolean normed) {
    Method m = at.method();
    int size = config.size();
    int head = config.headSize();
    Value q = turned(at, "q", x, config.heads(), places, normed);
    Value k = shared(m, turned(at, "k", x, keyHeads, places, normed), keyHeads);
    Value all = at.linearWithoutBias("to_v", x, size, keyHeads * head);
    Value v = shared(m, Rotary.heads(m, all, keyHeads, head), keyHeads);
    Value attended = m.attention(q, k, v, places.bias());
    return at.linearWithoutBias("to_out.0", Rotary.joined(m, attended), size, size);
  }

  private Value turned(Scope at, String name, Value x, int heads, Places places, boolean normed) {
    Method m = at.method();
    int head = config.headSize();
    Value all = at.linearWithoutBias("to_" + name, x, config.size(), heads * head);
    Value split = m.unflatten(all, 2, heads, head);
    if (normed) {
      split = m.rmsNorm(split, head, at.parameter("norm_" + name + ".weight", head), HEAD_EPSILON);
    }
    return m.rotate(m.transpose(split, 1, 2), places.cos(), places.sin(), head / 2, true);
  }

  /** Keys or values of each group of heads, once for each head of it. */
  private Value shared(Method m, Value x, int keyHeads) {
    if (keyHeads == config.heads()) {
      return x;
    }
    Value[] same = new Value[config.heads() / keyHeads];
    Arrays.fill(same, m.unsqueeze(x, 2));
    return m.flatten(m.concatenate(2, same), 1, 2);
  }

  final Value gated(Scope at, Value x, int inner, String gate, String up, String down) {
    Method m = at.method();
    int size = config.size();
    Value open = m.silu(at.linearWithoutBias(gate, x, size, inner));
    Value wide = at.linearWithoutBias(up, x, size, inner);
    return at.linearWithoutBias(down, m.multiply(open, wide), inner, size);
  }
}
