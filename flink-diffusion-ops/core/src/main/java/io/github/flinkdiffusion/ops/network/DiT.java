/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' DiTTransformer2DModel (Peebles and Xie 2022): a transformer over patches of a latent,
 * conditioned by timestep and class through its norms.
 */
@Internal
public final class DiT {
  private static final int TIME_INPUT = 256;
  private static final double MAXIMUM_PERIOD = 10_000;

  /** Of the norms around attention and at the end; not {@code norm_eps}. */
  private static final double ADAPTIVE_EPSILON = 1e-6;

  private final DiTConfig config;

  public DiT(DiTConfig config) {
    this.config = config;
  }

  /**
   * A graph with {@code forward(sample [N,in,s,s], timestep float32 [N], class_labels int64 [N])}
   * giving [N,out,s,s] in float32, where s is {@code sample_size}.
   */
  public Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value sample = forward.input("sample", 4);
    Value timestep = forward.input("timestep", 1);
    Value labels = forward.integers("class_labels", 1);
    forward.returns(forward.toFloat(emit(new Scope(forward, ""), sample, timestep, labels)));
    return graph;
  }

  /** Adds the network to a method; shapes as in {@link #graph()}, result in the weights' dtype. */
  public Value emit(Scope at, Value sample, Value timestep, Value labels) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    int patch = config.patchSize();
    int side = config.side();
    Value dtype = at.parameter("pos_embed.proj.bias", hidden);
    Value time =
        m.castAs(
            TimestepEmbedding.sinusoidal(at, "time_frequencies", timestep, TIME_INPUT, true, 1),
            dtype);
    Value positions =
        m.unflatten(m.graph().constant(at.prefix() + "positions", positions()), 0, -1, hidden);
    Value x =
        at.conv2d(
            "pos_embed.proj",
            m.castAs(sample, dtype),
            config.inChannels(),
            hidden,
            patch,
            patch,
            0);
    x = m.add(at.tokens(x), m.castAs(positions, dtype));
    Value conditionOfFirst = null;
    for (int i = 0; i < config.layers(); i++) {
      Scope block = at.child("transformer_blocks", i);
      Value condition = condition(block.child("norm1.emb"), time, labels);
      if (i == 0) {
        conditionOfFirst = condition;
      }
      x = block(block, x, condition);
    }
    Value[] shiftAndScale = parts(at, "proj_out_1", conditionOfFirst, 2);
    x = modulated(m, m.layerNorm(x, hidden, null, null, ADAPTIVE_EPSILON), shiftAndScale, 0);
    x = at.linear("proj_out_2", x, hidden, patch * patch * config.outChannels());
    return Patches.joinedChannelsLast(
        m, m.unflatten(x, 1, side, side), patch, config.outChannels());
  }

  /** Every block has its own embedding of timestep and class, [N,hidden]. */
  private Value condition(Scope at, Value time, Value labels) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    Value table =
        at.parameter("class_embedder.embedding_table.weight", config.classes() + 1, hidden);
    return m.add(
        TimestepEmbedding.project(
            at.child("timestep_embedder"), time, TIME_INPUT, hidden, Activation.SILU),
        m.embedding(labels, table));
  }

  private Value block(Scope at, Value x, Value condition) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    // Shift, scale and gate of the attention, then those of the feed-forward.
    Value[] parts = parts(at, "norm1.linear", condition, 6);
    Value h = modulated(m, m.layerNorm(x, hidden, null, null, ADAPTIVE_EPSILON), parts, 0);
    Scope attention = at.child("attn1");
    Value q = attention.linear("to_q", h, hidden, hidden);
    Value k = attention.linear("to_k", h, hidden, hidden);
    Value v = attention.linear("to_v", h, hidden, hidden);
    Value attended = attention.heads(q, k, v, config.heads(), config.headSize(), false);
    attended = attention.linear("to_out.0", attended, hidden, hidden);
    Value y = m.add(m.multiply(parts[2], attended), x);
    h = modulated(m, m.layerNorm(y, hidden, null, null, config.epsilon()), parts, 3);
    Scope feedForward = at.child("ff");
    h = m.geluTanh(feedForward.linear("net.0.proj", h, hidden, 4 * hidden));
    return m.add(m.multiply(parts[5], feedForward.linear("net.2", h, 4 * hidden, hidden)), y);
  }

  /** A linear layer over the activated condition, cut into {@code count} vectors [N,1,hidden]. */
  private Value[] parts(Scope at, String name, Value condition, int count) {
    Method m = at.method();
    int hidden = config.hiddenSize();
    Value all = m.unsqueeze(at.linear(name, m.silu(condition), hidden, count * hidden), 1);
    Value[] parts = new Value[count];
    for (int i = 0; i < count; i++) {
      parts[i] = m.narrow(all, 2, (long) i * hidden, hidden);
    }
    return parts;
  }

  /** x * (1 + scale) + shift, with the shift at {@code index} and the scale behind it. */
  private static Value modulated(Method m, Value x, Value[] parts, int index) {
    return m.add(m.multiply(x, m.add(parts[index + 1], 1)), parts[index]);
  }

  /**
   * Sines and cosines of each patch's column, then of its row, [side*side, hidden] row by row, in
   * double precision until they are stored.
   */
  private float[] positions() {
    int hidden = config.hiddenSize();
    int quarter = hidden / 4;
    int side = config.side();
    float[] table = new float[Math.multiplyExact(side * side, hidden)];
    for (int row = 0; row < side; row++) {
      for (int column = 0; column < side; column++) {
        int start = (row * side + column) * hidden;
        for (int i = 0; i < quarter; i++) {
          double frequency = 1 / Math.pow(MAXIMUM_PERIOD, (double) i / quarter);
          table[start + i] = (float) Math.sin(column * frequency);
          table[start + quarter + i] = (float) Math.cos(column * frequency);
          table[start + 2 * quarter + i] = (float) Math.sin(row * frequency);
          table[start + 3 * quarter + i] = (float) Math.cos(row * frequency);
        }
      }
    }
    return table;
  }
}
