/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import java.util.Locale;

/**
 * What a UNet adds to its time embedding for a second condition ({@code addition_embed_type}).
 *
 * @param kind which condition
 * @param size of what is projected: a token for {@link Kind#TEXT}, text and image embeddings, or
 *     {@code projection_class_embeddings_input_dim}; 0 for {@link Kind#NONE}
 * @param detail {@code addition_embed_type_num_heads} for {@link Kind#TEXT}, {@code
 *     addition_time_embed_dim} for {@link Kind#TEXT_TIME}; else 0
 */
record AddedEmbedding(Kind kind, int size, int detail) {
  static final AddedEmbedding NONE = new AddedEmbedding(Kind.NONE, 0, 0);

  private static final double EPSILON = 1e-5;

  /** Channels of {@code input_hint_block} and strides, as the reference has them. */
  private static final int[][] HINT_LAYERS = {
    {3, 16, 1}, {16, 16, 1}, {16, 32, 2}, {32, 32, 1}, {32, 96, 2}, {96, 96, 1}, {96, 256, 2}
  };

  /** Channels that a hint has when it is appended to the sample. */
  static final int HINT_CHANNELS = 4;

  enum Kind {
    NONE,
    /** The context's tokens, pooled by attention (DeepFloyd IF). */
    TEXT,
    /** Embeddings of a text and an image (Kandinsky 2.1). */
    TEXT_IMAGE,
    /** A pooled text and sizes (SDXL). */
    TEXT_TIME,
    /** An image's embedding (Kandinsky 2.2). */
    IMAGE,
    /** And an image [N,3,8H,8W] that becomes further channels of the sample. */
    IMAGE_HINT
  }

  /**
   * Reads the keys.
   *
   * @param contextSize of a token of the context that the network is given
   * @param crossAttentionDim of a token that attention sees
   * @param projection of the context
   */
  static AddedEmbedding from(
      Config config, int contextSize, int crossAttentionDim, ContextProjection projection) {
    if (!config.has("addition_embed_type")) {
      return NONE;
    }
    List<Kind> kinds =
        List.of(Kind.TEXT, Kind.TEXT_IMAGE, Kind.TEXT_TIME, Kind.IMAGE, Kind.IMAGE_HINT);
    List<String> names = kinds.stream().map(k -> k.name().toLowerCase(Locale.ROOT)).toList();
    Kind kind =
        kinds.get(names.indexOf(ConfigValues.oneOf(config, "addition_embed_type", null, names)));
    return switch (kind) {
      case NONE -> NONE;
      case TEXT -> new AddedEmbedding(kind, contextSize, heads(config, contextSize));
      case TEXT_IMAGE -> new AddedEmbedding(kind, crossAttentionDim, 0);
      case TEXT_TIME ->
          new AddedEmbedding(
              kind,
              ConfigValues.positive(config, "projection_class_embeddings_input_dim", 0),
              timeSize(config));
      case IMAGE, IMAGE_HINT -> {
        if (!projection.exists()) {
          throw config.unsupported(
              "encoder_hid_dim", null, "a number together with addition_embed_type image");
        }
        yield new AddedEmbedding(kind, projection.size(), 0);
      }
    };
  }

  private static int heads(Config config, int size) {
    int heads = config.integer("addition_embed_type_num_heads", 64);
    if (heads < 1 || size % heads != 0) {
      throw config.unsupported(
          "addition_embed_type_num_heads",
          heads,
          "a divisor of encoder_hid_dim, else of cross_attention_dim (" + size + ")");
    }
    return heads;
  }

  private static int timeSize(Config config) {
    int size = ConfigValues.positive(config, "addition_time_embed_dim", 0);
    if (size < 2 || size % 2 != 0) {
      throw config.unsupported("addition_time_embed_dim", size, "a positive even number");
    }
    return size;
  }

  boolean seesText() {
    return kind == Kind.TEXT_IMAGE || kind == Kind.TEXT_TIME;
  }

  boolean seesImage() {
    return kind == Kind.TEXT_IMAGE || kind == Kind.IMAGE || kind == Kind.IMAGE_HINT;
  }

  boolean seesHint() {
    return kind == Kind.IMAGE_HINT;
  }

  /**
   * The embedding [N,out] for all kinds but {@link Kind#NONE} and {@link Kind#TEXT_TIME}.
   *
   * @param at the scope of {@code add_embedding}
   * @param tokens the context as the network is given it
   * @param text [N,size]
   * @param image [N,size]
   */
  Value emit(Scope at, Value tokens, Value text, Value image, int out) {
    Method m = at.method();
    return switch (kind) {
      case TEXT -> {
        Value h = at.layerNorm("norm1", tokens, size, EPSILON);
        h = at.linear("proj", pooled(at.child("pool"), h), size, out);
        yield at.layerNorm("norm2", h, out, EPSILON);
      }
      case TEXT_IMAGE ->
          m.add(
              at.linear("image_proj", image, size, out),
              at.layerNorm("text_norm", at.linear("text_proj", text, size, out), out, EPSILON));
      case IMAGE, IMAGE_HINT ->
          at.layerNorm("image_norm", at.linear("image_proj", image, size, out), out, EPSILON);
      case NONE, TEXT_TIME -> throw new IllegalStateException(kind + " is not made here");
    };
  }

  /** diffusers' AttentionPooling: the mean of all tokens asks, it and the tokens answer. */
  private Value pooled(Scope at, Value tokens) {
    Method m = at.method();
    Value mean = m.add(m.meanAlong(tokens, 1), at.parameter("positional_embedding", 1, size));
    Value all = m.concatenate(1, mean, tokens);
    Value attended =
        at.heads(
            at.linear("q_proj", mean, size, size),
            at.linear("k_proj", all, size, size),
            at.linear("v_proj", all, size, size),
            detail,
            size / detail,
            false);
    return m.squeeze(attended, 1);
  }

  /** The channels [N,4,H,W] that a hint [N,3,8H,8W] appends to the sample. */
  Value hint(Scope at, Value hint) {
    Scope block = at.child("input_hint_block");
    Value h = hint;
    for (int i = 0; i < HINT_LAYERS.length; i++) {
      int[] layer = HINT_LAYERS[i];
      // Activations stand between, each with an index of its own.
      h = block.conv2d(Integer.toString(2 * i), h, layer[0], layer[1], 3, layer[2], 1);
      h = at.method().silu(h);
    }
    int last = HINT_LAYERS.length;
    return block.conv3x3(Integer.toString(2 * last), h, HINT_LAYERS[last - 1][1], HINT_CHANNELS);
  }
}
