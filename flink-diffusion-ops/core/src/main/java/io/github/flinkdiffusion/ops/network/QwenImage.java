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
 * diffusers' QwenImageTransformer2DModel: image and text in two streams that attend to both
 * together, with rotary positions whose middle is the image's.
 */
@Internal
public final class QwenImage extends DenoisingTransformer {
  private static final double EPSILON = 1e-6;
  private static final double THETA = 10_000;

  private final QwenImageConfig config;

  public QwenImage(QwenImageConfig config) {
    this.config = config;
  }

  /**
   * Where tokens are, for attention: first the text's, then the image's.
   *
   * @param bias hides what is behind a text's end
   */
  private record Places(Value textCos, Value textSin, Value imageCos, Value imageSin, Value bias) {}

  /** Both streams. */
  private record Streams(Value image, Value text) {}

  /**
   * {@code forward(sample [N,C,H,W], timestep float32 [N], text [N,T,joint_attention_dim], length
   * float32 [N])} giving [N,C,H,W] in float32: patches are cut and joined here. The timestep is the
   * scheduler's, 1000 at pure noise; {@code length} counts a text's own tokens.
   */
  @Override
  Value emit(Method method, InnerBlocks inner) {
    Value sample = method.input("sample", 4);
    Value timestep = method.input("timestep", 1);
    Value text = method.input("text", 3);
    Value length = method.input("length", 1);
    return method.toFloat(emit(new Scope(method, ""), sample, timestep, text, length, inner));
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
    Value dtype = at.parameter("img_in.bias", size);
    // [N,h,w,C,p,p]
    Value patches = Patches.channelsFirst(m, m.castAs(sample, dtype), patch);
    Value x = at.linear("img_in", Patches.tokens(m, patches), config.inChannels(), size);
    Value words =
        at.linear(
            "txt_in",
            m.rmsNorm(
                m.castAs(text, dtype),
                config.textSize(),
                at.parameter("txt_norm.weight", config.textSize()),
                EPSILON),
            config.textSize(),
            size);
    // The pipeline divides by 1000, the embedding multiplies by it.
    Value time =
        TimestepEmbedding.ofTransformer(
            at,
            "frequencies",
            m.multiply(m.multiply(timestep, 1.0 / 1000), 1000),
            dtype,
            at.child("time_text_embed.timestep_embedder"),
            size);
    Value activated = m.silu(time);
    Places places = places(at, x, patches, words, length);
    Streams streams = new Streams(x, words);
    for (int i = 0; i < config.layers() && inner.computes(i, streams.image()); i++) {
      streams = block(at.child("transformer_blocks", i), streams, activated, places);
    }
    Value image = inner.after(m, streams.image());
    Value[] last = parts(at, "norm_out.linear", activated, 2);
    Value out =
        m.add(
            m.multiply(m.layerNorm(image, size, null, null, EPSILON), m.add(last[0], 1)), last[1]);
    out = at.linear("proj_out", out, size, patch * patch * config.outChannels());
    return Patches.joinedChannelsFirst(
        m, m.unflattenAs(out, 1, patches, 1), patch, config.outChannels());
  }

  private Places places(Scope at, Value x, Value patches, Value words, Value length) {
    Method m = at.method();
    Value rows = m.indices(patches, 1);
    Value columns = m.indices(patches, 2);
    List<Value> grid =
        Rotary.grid(
            m,
            Rotary.angles(
                at, "rows", m.subtract(rows, upperHalf(m, rows)), THETA, config.rowAxis()),
            Rotary.angles(
                at,
                "columns",
                m.subtract(columns, upperHalf(m, columns)),
                THETA,
                config.columnAxis()));
    // The one frame is at place 0.
    Value frame =
        m.add(
            m.multiply(m.narrow(grid.get(0), 1, 0, 1), 0),
            m.graph().constant("frame", new float[config.frameAxis() / 2]));
    Value image = m.unsqueeze(m.concatenate(1, frame, grid.get(0), grid.get(1)), 0);
    Value tall = lowerHalf(m, rows);
    Value wide = lowerHalf(m, columns);
    // The greater of both.
    Value start = m.add(tall, m.relu(m.subtract(wide, tall)));
    Value order = m.indices(words, 1);
    Value at0 = m.add(order, start);
    Value text =
        m.unsqueeze(
            m.concatenate(
                1,
                Rotary.angles(at, "frames", at0, THETA, config.frameAxis()),
                Rotary.angles(at, "rows", at0, THETA, config.rowAxis()),
                Rotary.angles(at, "columns", at0, THETA, config.columnAxis())),
            0);
    Value seen = Rotary.first(m, length, order);
    Value ones =
        m.add(m.multiply(m.add(m.unsqueeze(m.indices(x, 1), 0), m.unsqueeze(length, 1)), 0), 1);
    return new Places(
        m.cos(text),
        m.sin(text),
        m.cos(image),
        m.sin(image),
        Rotary.bias(m, m.concatenate(1, seen, ones), words));
  }

  /** Half of n, rounded up, of 0 .. n-1, whose mean is (n - 1) / 2. */
  private static Value upperHalf(Method m, Value indices) {
    return m.floor(m.add(m.meanAlong(indices, 0), 1));
  }

  /** Half of n, rounded down. */
  private static Value lowerHalf(Method m, Value indices) {
    return m.floor(m.add(m.meanAlong(indices, 0), 0.5));
  }

  private Streams block(Scope at, Streams streams, Value time, Places places) {
    Method m = at.method();
    int size = config.size();
    Value[] image = parts(at, "img_mod.1", time, 6);
    Value[] text = parts(at, "txt_mod.1", time, 6);
    Streams attended =
        attention(
            at.child("attn"),
            modulated(m, streams.image(), image, 0),
            modulated(m, streams.text(), text, 0),
            places);
    Value x = m.add(streams.image(), m.multiply(image[2], attended.image()));
    Value words = m.add(streams.text(), m.multiply(text[2], attended.text()));
    Value h = feedForward(at.child("img_mlp"), modulated(m, x, image, 3), size);
    Value w = feedForward(at.child("txt_mlp"), modulated(m, words, text, 3), size);
    return new Streams(m.add(x, m.multiply(image[5], h)), m.add(words, m.multiply(text[5], w)));
  }

  private static Value feedForward(Scope at, Value x, int size) {
    Value inner = at.method().geluTanh(at.linear("net.0.proj", x, size, 4 * size));
    return at.linear("net.2", inner, 4 * size, size);
  }

  /** A norm, then the shift at {@code index} and the scale behind it. */
  private Value modulated(Method m, Value x, Value[] parts, int index) {
    Value normed = m.layerNorm(x, config.size(), null, null, EPSILON);
    return m.add(m.multiply(normed, m.add(parts[index + 1], 1)), parts[index]);
  }

  /** A linear layer over the activated time, cut into vectors [N,1,size]. */
  private Value[] parts(Scope at, String name, Value time, int count) {
    Method m = at.method();
    int size = config.size();
    Value all = m.unsqueeze(at.linear(name, time, size, count * size), 1);
    Value[] parts = new Value[count];
    for (int i = 0; i < count; i++) {
      parts[i] = m.narrow(all, 2, (long) i * size, size);
    }
    return parts;
  }

  private Streams attention(Scope at, Value image, Value text, Places places) {
    Method m = at.method();
    int size = config.size();
    Value q = both(at, image, text, "to_q", "add_q_proj", "norm_q", "norm_added_q", places);
    Value k = both(at, image, text, "to_k", "add_k_proj", "norm_k", "norm_added_k", places);
    Value v =
        m.concatenate(
            2,
            Rotary.heads(
                m, at.linear("add_v_proj", text, size, size), config.heads(), config.headSize()),
            Rotary.heads(
                m, at.linear("to_v", image, size, size), config.heads(), config.headSize()));
    Value attended = Rotary.joined(m, m.attention(q, k, v, places.bias()));
    return new Streams(
        at.linear("to_out.0", m.lastAs(attended, 1, image, 1), size, size),
        at.linear("to_add_out", m.firstAs(attended, 1, text, 1), size, size));
  }

  /** Queries or keys of the text, then of the image, turned. */
  private Value both(
      Scope at,
      Value image,
      Value text,
      String ofImage,
      String ofText,
      String imageNorm,
      String textNorm,
      Places places) {
    return at.method()
        .concatenate(
            2,
            turned(at, ofText, textNorm, text, places.textCos(), places.textSin()),
            turned(at, ofImage, imageNorm, image, places.imageCos(), places.imageSin()));
  }

  private Value turned(Scope at, String name, String norm, Value x, Value cos, Value sin) {
    Method m = at.method();
    int head = config.headSize();
    Value heads =
        m.unflatten(at.linear(name, x, config.size(), config.size()), 2, config.heads(), head);
    heads = m.rmsNorm(heads, head, at.parameter(norm + ".weight", head), EPSILON);
    return m.rotate(m.transpose(heads, 1, 2), cos, sin, head / 2, true);
  }
}
