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
 * How a UNet's context comes from what it is given ({@code encoder_hid_dim_type}).
 *
 * @param kind what it is given
 * @param size {@code encoder_hid_dim}: of what is projected; 0 for {@link Kind#NONE}
 */
record ContextProjection(Kind kind, int size) {
  /** The context is given as it is. */
  static final ContextProjection NONE = new ContextProjection(Kind.NONE, 0);

  /** Tokens that {@link Kind#TEXT_IMAGE_PROJ} makes of an image's embedding. */
  private static final int TOKENS_BESIDE_TEXT = 10;

  /** Tokens that {@link Kind#IMAGE_PROJ} makes of an image's embedding. */
  private static final int TOKENS_OF_IMAGE = 32;

  private static final double EPSILON = 1e-5;

  enum Kind {
    NONE,
    /** Tokens [N,S,size] pass a linear layer. */
    TEXT_PROJ,
    /** And an image's embedding [N,cross_attention_dim] gives further tokens before them. */
    TEXT_IMAGE_PROJ,
    /** An image's embedding [N,size] gives all tokens. */
    IMAGE_PROJ
  }

  /** A type that is absent is text_proj where there is a size, as in the reference. */
  static ContextProjection from(Config config) {
    if (!config.has("encoder_hid_dim_type") && !config.has("encoder_hid_dim")) {
      return NONE;
    }
    List<Kind> kinds = List.of(Kind.TEXT_PROJ, Kind.TEXT_IMAGE_PROJ, Kind.IMAGE_PROJ);
    List<String> names = kinds.stream().map(k -> k.name().toLowerCase(Locale.ROOT)).toList();
    String name = ConfigValues.oneOf(config, "encoder_hid_dim_type", names.get(0), names);
    int size = ConfigValues.positive(config, "encoder_hid_dim", 0);
    if (config.node().path("cross_attention_dim").isArray()) {
      throw config.unsupported(
          "cross_attention_dim",
          config.node().get("cross_attention_dim"),
          "one number together with encoder_hid_dim");
    }
    return new ContextProjection(kinds.get(names.indexOf(name)), size);
  }

  boolean exists() {
    return kind != Kind.NONE;
  }

  /** Whether an image's embedding is an input. */
  boolean seesImage() {
    return kind == Kind.TEXT_IMAGE_PROJ || kind == Kind.IMAGE_PROJ;
  }

  /** Whether tokens are an input. */
  boolean seesTokens() {
    return kind != Kind.IMAGE_PROJ;
  }

  /**
   * The context [N,*,out].
   *
   * @param at the scope of {@code encoder_hid_proj}
   * @param tokens null unless {@link #seesTokens}
   * @param image null unless {@link #seesImage}
   */
  Value emit(Scope at, Value tokens, Value image, int out) {
    Method m = at.method();
    return switch (kind) {
      case NONE -> tokens;
      case TEXT_PROJ -> linear(at, tokens, size, out);
      case TEXT_IMAGE_PROJ ->
          m.concatenate(
              1,
              tokensOf(at, image, out, TOKENS_BESIDE_TEXT, out),
              at.linear("text_proj", tokens, size, out));
      case IMAGE_PROJ ->
          at.layerNorm("norm", tokensOf(at, image, size, TOKENS_OF_IMAGE, out), out, EPSILON);
    };
  }

  private static Value tokensOf(Scope at, Value image, int in, int count, int out) {
    return at.method().unflatten(at.linear("image_embeds", image, in, count * out), 1, count, out);
  }

  private static Value linear(Scope at, Value x, int in, int out) {
    return at.method().linear(x, at.parameter("weight", out, in), at.parameter("bias", out));
  }
}
