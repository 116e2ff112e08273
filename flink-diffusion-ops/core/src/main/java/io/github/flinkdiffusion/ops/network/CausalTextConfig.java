/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.weights.Config;
import org.apache.flink.annotation.Internal;

/**
 * A language model's config, as transformers has it for Qwen2Model, Qwen2_5_VLModel (its text
 * part), Qwen3Model, Gemma2Model and LlamaModel. Names are the config's.
 *
 * @param vocabulary {@code vocab_size}
 * @param hiddenSize {@code hidden_size}
 * @param innerSize {@code intermediate_size}
 * @param layers {@code num_hidden_layers}
 * @param heads {@code num_attention_heads}
 * @param keyHeads {@code num_key_value_heads}
 * @param headSize {@code head_dim}, even
 * @param epsilon {@code rms_norm_eps}
 * @param theta {@code rope_theta}
 * @param queryScale what scores are divided by the root of
 * @param softCap {@code attn_logit_softcapping}, 0 for none
 * @param maxPositions tokens that see each other as the config says: {@code
 *     max_position_embeddings}, or {@code sliding_window} where there is one
 * @param type which of the models it is
 */
@Internal
public record CausalTextConfig(
    int vocabulary,
    int hiddenSize,
    int innerSize,
    int layers,
    int heads,
    int keyHeads,
    int headSize,
    double epsilon,
    double theta,
    double queryScale,
    double softCap,
    int maxPositions,
    Type type) {

  /** The models, which differ in norms, biases and the activation. */
  public enum Type {
    QWEN2,
    QWEN3,
    GEMMA2,
    LLAMA
  }

  /**
   * Reads a component's config.json, or the part of it that is the language model's; missing keys
   * take transformers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static CausalTextConfig from(Config whole, Type type) {
    Config config = whole.section("text_config").orElse(whole);
    boolean gemma = type == Type.GEMMA2;
    int hidden = ConfigValues.positive(config, "hidden_size", gemma ? 2304 : 4096);
    int heads = ConfigValues.positive(config, "num_attention_heads", gemma ? 8 : 32);
    int keyHeads = ConfigValues.positive(config, "num_key_value_heads", gemma ? 4 : heads);
    if (heads % keyHeads != 0) {
      throw config.unsupported(
          "num_key_value_heads", keyHeads, "a divisor of num_attention_heads (" + heads + ")");
    }
    int size =
        ConfigValues.positive(
            config,
            "head_dim",
            switch (type) {
              case GEMMA2 -> 256;
              case QWEN3 -> 128;
              case QWEN2, LLAMA -> hidden / heads;
            });
    if (size % 2 != 0) {
      throw config.unsupported("head_dim", size, "an even number");
    }
    if (gemma) {
      ConfigValues.require(config, "hidden_activation", "gelu_pytorch_tanh");
    } else {
      ConfigValues.require(config, "hidden_act", "silu");
    }
    if (type != Type.QWEN2) {
      ConfigValues.require(config, "attention_bias", false);
    }
    ConfigValues.require(config, "use_sliding_window", false);
    boolean llama = type == Type.LLAMA;
    if (llama) {
      ConfigValues.require(config, "mlp_bias", false);
    }
    int positions =
        ConfigValues.positive(
            config, "max_position_embeddings", gemma ? 8192 : llama ? 2048 : 32_768);
    return new CausalTextConfig(
        ConfigValues.positive(config, "vocab_size", gemma ? 256_000 : llama ? 32_000 : 151_936),
        hidden,
        ConfigValues.positive(config, "intermediate_size", gemma ? 9216 : llama ? 11_008 : 22_016),
        ConfigValues.layers(config, "num_hidden_layers", gemma ? 26 : 32),
        heads,
        keyHeads,
        size,
        config.number("rms_norm_eps", 1e-6),
        theta(config, llama),
        gemma ? config.number("query_pre_attn_scalar", 256) : size,
        gemma && !isNull(config, "attn_logit_softcapping")
            ? config.number("attn_logit_softcapping", 50)
            : 0,
        gemma
            ? Math.min(positions, ConfigValues.positive(config, "sliding_window", 4096))
            : positions,
        type);
  }

  private static boolean isNull(Config config, String key) {
    JsonNode node = config.node().get(key);
    return node != null && node.isNull();
  }

  /** At the top in older configs, among {@code rope_parameters} in newer ones. */
  private static double theta(Config config, boolean llama) {
    for (String section : new String[] {"rope_parameters", "rope_scaling"}) {
      Config rope = config.section(section).orElse(null);
      if (rope == null) {
        continue;
      }
      String kind = rope.string("rope_type", rope.string("type", "default"));
      // All three positions of a text's token are the same (mrope).
      if (!kind.equals("default") && (llama || !kind.equals("mrope"))) {
        throw rope.unsupported("rope_type", kind, llama ? "default" : "default, mrope");
      }
      if (llama) {
        ConfigValues.require(rope, "partial_rotary_factor", 1);
      }
      if (rope.has("rope_theta")) {
        return rope.number("rope_theta", 10_000);
      }
    }
    return config.number("rope_theta", 10_000);
  }

  /** Whether the embeddings are multiplied by the root of their size. */
  boolean scalesEmbeddings() {
    return type == Type.GEMMA2;
  }

  /** Whether attention and feed-forward have a norm behind them as well. */
  boolean normsAround() {
    return type == Type.GEMMA2;
  }

  /** Whether a norm's weights are kept without the 1 that they are added to. */
  boolean addsOneToNorms() {
    return type == Type.GEMMA2;
  }

  /** Whether queries and keys have a norm over each head. */
  boolean normsHeads() {
    return type == Type.QWEN3;
  }

  /** Whether queries, keys and values have a bias. */
  boolean projectionBias() {
    return type == Type.QWEN2;
  }

  /** Whether the gate is a GELU (by tanh), not a SiLU. */
  boolean gatesByGelu() {
    return type == Type.GEMMA2;
  }
}
