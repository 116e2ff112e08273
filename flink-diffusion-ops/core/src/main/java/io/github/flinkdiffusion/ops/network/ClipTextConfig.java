/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import org.apache.flink.annotation.Internal;

/**
 * transformers' CLIPTextConfig. Names are the config's.
 *
 * @param vocabSize {@code vocab_size}
 * @param hiddenSize {@code hidden_size}
 * @param intermediateSize {@code intermediate_size}
 * @param layers {@code num_hidden_layers}
 * @param heads {@code num_attention_heads}
 * @param maxPositions {@code max_position_embeddings}
 * @param activation {@code hidden_act}
 * @param epsilon {@code layer_norm_eps}
 * @param eosTokenId {@code eos_token_id}: the token whose state is the pooled one
 * @param projectionSize {@code projection_dim}, of networks that project
 */
@Internal
public record ClipTextConfig(
    int vocabSize,
    int hiddenSize,
    int intermediateSize,
    int layers,
    int heads,
    int maxPositions,
    Activation activation,
    double epsilon,
    int eosTokenId,
    int projectionSize) {

  /**
   * What old configs hold whatever the vocabulary's end token is; transformers then takes the
   * highest id, which is the end token in a vocabulary without additions.
   */
  private static final int UNRELIABLE_EOS = 2;

  private static final int DEFAULT_EOS = 49407;
  private static final int DEFAULT_PROJECTION = 512;

  /**
   * Reads a component's config.json; missing keys take transformers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static ClipTextConfig from(Config config) {
    return from(config, config);
  }

  /**
   * Reads the config of a whole CLIP, whose text network is described in a section and whose {@code
   * projection_dim} stands outside. Old files repeat the section under {@code text_config_dict},
   * which then counts.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static ClipTextConfig fromClip(Config config) {
    Config text =
        config
            .section("text_config_dict")
            .or(() -> config.section("text_config"))
            .orElseGet(() -> Config.empty(config.source() + " [text_config]"));
    return from(text, config);
  }

  private static ClipTextConfig from(Config config, Config projection) {
    int hidden = ConfigValues.positive(config, "hidden_size", 512);
    return new ClipTextConfig(
        ConfigValues.positive(config, "vocab_size", 49408),
        hidden,
        ConfigValues.positive(config, "intermediate_size", 2048),
        ConfigValues.layers(config, "num_hidden_layers", 12),
        ConfigValues.heads(config, 8, hidden),
        ConfigValues.positive(config, "max_position_embeddings", 77),
        ConfigValues.activation(config, "hidden_act", "quick_gelu"),
        config.number("layer_norm_eps", 1e-5),
        config.integer("eos_token_id", DEFAULT_EOS),
        ConfigValues.positive(projection, "projection_dim", DEFAULT_PROJECTION));
  }

  /**
   * The part of a config that is a text encoder's: {@code text_config} where the config is that of
   * a whole CLIP, as transformers takes it.
   */
  public static Config section(Config config) {
    return config.section("text_config").orElse(config);
  }

  /** Whether the end is looked for as the greatest token. */
  boolean isEosUnreliable() {
    return eosTokenId == UNRELIABLE_EOS;
  }

  /** Where a text ends: the position whose state is the pooled one. */
  public int end(int[] ids) {
    int end = 0;
    for (int i = 1; i < ids.length; i++) {
      boolean later =
          isEosUnreliable() ? ids[i] > ids[end] : ids[i] == eosTokenId && ids[end] != eosTokenId;
      end = later ? i : end;
    }
    return end;
  }
}
