/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' UniDiffuserTextDecoder. Names are the config's.
 *
 * @param prefixSize {@code prefix_inner_dim}, of a text encoder's state
 * @param smallSize {@code prefix_hidden_dim}, of what such a state is made to; 0 where it stays
 * @param vocabulary {@code vocab_size}
 * @param positions {@code n_positions}
 * @param hiddenSize {@code n_embd}
 * @param layers {@code n_layer}
 * @param heads {@code n_head}
 * @param innerSize {@code n_inner}
 * @param activation {@code activation_function}
 * @param epsilon {@code layer_norm_epsilon}
 */
@Internal
public record TextDecoderConfig(
    int prefixSize,
    int smallSize,
    int vocabulary,
    int positions,
    int hiddenSize,
    int layers,
    int heads,
    int innerSize,
    GptActivation activation,
    double epsilon) {

  /** transformers' names for what GPT-2 computes between the feed-forward's layers. */
  enum GptActivation {
    GELU,
    GELU_TANH,
    RELU,
    SILU
  }

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static TextDecoderConfig from(Config config) {
    ConfigValues.require(config, "scale_attn_weights", true);
    ConfigValues.require(config, "scale_attn_by_inverse_layer_idx", false);
    ConfigValues.require(config, "reorder_and_upcast_attn", false);
    int hidden = ConfigValues.positive(config, "n_embd", 768);
    int heads = ConfigValues.positive(config, "n_head", 12);
    if (hidden % heads != 0) {
      throw config.unsupported("n_head", heads, "a divisor of n_embd (" + hidden + ")");
    }
    int prefix = ConfigValues.positive(config, "prefix_inner_dim", 0);
    int small =
        config.has("prefix_hidden_dim") ? ConfigValues.positive(config, "prefix_hidden_dim", 0) : 0;
    if (small == 0 && prefix != hidden) {
      throw config.unsupported(
          "prefix_inner_dim", prefix, "n_embd (" + hidden + ") without a prefix_hidden_dim");
    }
    String activation =
        ConfigValues.oneOf(
            config,
            "activation_function",
            "gelu_new",
            List.of("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"));
    return new TextDecoderConfig(
        prefix,
        small,
        ConfigValues.positive(config, "vocab_size", 50_257),
        ConfigValues.positive(config, "n_positions", 1024),
        hidden,
        ConfigValues.layers(config, "n_layer", 12),
        heads,
        ConfigValues.positive(config, "n_inner", Math.min(4 * hidden, ConfigValues.LARGEST_SIZE)),
        switch (activation) {
          case "gelu" -> GptActivation.GELU;
          case "relu" -> GptActivation.RELU;
          case "silu" -> GptActivation.SILU;
          default -> GptActivation.GELU_TANH;
        },
        config.number("layer_norm_epsilon", 1e-5));
  }

  /** Size of each vector of a prefix that texts follow from. */
  public int stateSize() {
    return smallSize > 0 ? smallSize : hiddenSize;
  }
}
