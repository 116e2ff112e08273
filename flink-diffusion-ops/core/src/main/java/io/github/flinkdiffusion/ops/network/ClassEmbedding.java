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
import java.util.function.UnaryOperator;
import org.apache.flink.annotation.Internal;

/**
 * What a UNet adds to its time embedding for a class label ({@code class_embed_type}, {@code
 * num_class_embeds}).
 *
 * @param kind how a label becomes an embedding
 * @param size classes of a table, or numbers in a label that is projected; else 0
 */
@Internal
public record ClassEmbedding(Kind kind, int size) {
  /** A UNet without labels. */
  public static final ClassEmbedding NONE = new ClassEmbedding(Kind.NONE, 0);

  /** How a label becomes an embedding, and so what a label is. */
  public enum Kind {
    NONE,
    /** Labels int64 [N] look up a learned vector. */
    TABLE,
    /** Labels float32 [N] are embedded as timesteps are. */
    TIMESTEP,
    /** Labels float32 [N,size] pass two linear layers. */
    PROJECTION,
    /** Labels float32 [N,size] pass one linear layer. */
    SIMPLE_PROJECTION,
    /** Labels float32 [N,time embedding] are embeddings. */
    IDENTITY
  }

  /** Declares the labels as a method's next argument; null where there are none. */
  Value input(Method method, String name) {
    return switch (kind) {
      case NONE -> null;
      case TABLE -> method.integers(name, 1);
      case TIMESTEP -> method.input(name, 1);
      case PROJECTION, SIMPLE_PROJECTION, IDENTITY -> method.input(name, 2);
    };
  }

  /**
   * Reads the two keys.
   *
   * @param supported the values of {@code class_embed_type} that the network knows
   */
  static ClassEmbedding from(Config config, List<Kind> supported) {
    if (!config.has("class_embed_type")) {
      return config.has("num_class_embeds")
          ? new ClassEmbedding(Kind.TABLE, ConfigValues.positive(config, "num_class_embeds", 1))
          : NONE;
    }
    List<String> names = supported.stream().map(k -> k.name().toLowerCase(Locale.ROOT)).toList();
    String name = ConfigValues.oneOf(config, "class_embed_type", null, names);
    Kind kind = supported.get(names.indexOf(name));
    return new ClassEmbedding(
        kind,
        kind == Kind.PROJECTION || kind == Kind.SIMPLE_PROJECTION
            ? config.integer("projection_class_embeddings_input_dim")
            : 0);
  }

  /** Whether the network takes labels. */
  public boolean exists() {
    return kind != Kind.NONE;
  }

  /**
   * The embedding [N,time.size()] of labels.
   *
   * @param at the scope of {@code class_embedding}
   * @param labels as {@link Kind} says
   * @param time how the network embeds timesteps
   * @param activation between the layers for {@link Kind#TIMESTEP}
   * @param dtype a value of the weights' dtype
   */
  Value emit(Scope at, Value labels, TimeInput time, Activation activation, Value dtype) {
    Method m = at.method();
    return switch (kind) {
      case NONE -> throw new IllegalStateException("the network has no class embedding");
      case TABLE -> m.embedding(labels, at.parameter("weight", size, time.size()));
      case TIMESTEP ->
          TimestepEmbedding.project(
              at,
              m.castAs(time.projection().apply(labels), dtype),
              time.inputSize(),
              time.size(),
              activation);
      // Not act_fn: the reference leaves this one at its default.
      case PROJECTION ->
          TimestepEmbedding.project(
              at, m.castAs(labels, dtype), size, time.size(), Activation.SILU);
      case SIMPLE_PROJECTION ->
          m.linear(
              m.castAs(labels, dtype),
              at.parameter("weight", time.size(), size),
              at.parameter("bias", time.size()));
      case IDENTITY -> m.castAs(labels, dtype);
    };
  }

  /**
   * How a network embeds timesteps.
   *
   * @param inputSize of {@code projection}'s result
   * @param size of the time embedding
   * @param projection from timesteps [N] to [N,inputSize], in float32
   */
  record TimeInput(int inputSize, int size, UnaryOperator<Value> projection) {}
}
