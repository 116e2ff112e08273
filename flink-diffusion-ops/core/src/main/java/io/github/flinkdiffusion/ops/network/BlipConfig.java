/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import org.apache.flink.annotation.Internal;

/**
 * transformers' BlipConfig: a vision network and a text network that looks at it.
 *
 * @param vision of the section {@code vision_config}
 * @param text of the section {@code text_config}
 */
@Internal
public record BlipConfig(Vision vision, Text text) {

  /**
   * BlipVisionConfig. Names are the config's.
   *
   * @param imageSize {@code image_size}: both sides of an image, in pixels
   * @param patchSize {@code patch_size}
   * @param hiddenSize {@code hidden_size}
   * @param intermediateSize {@code intermediate_size}
   * @param layers {@code num_hidden_layers}
   * @param heads {@code num_attention_heads}
   * @param activation {@code hidden_act}
   * @param epsilon {@code layer_norm_eps}
   */
  public record Vision(
      int imageSize,
      int patchSize,
      int hiddenSize,
      int intermediateSize,
      int layers,
      int heads,
      Activation activation,
      double epsilon) {

    /** The class token and all patches. */
    public int tokens() {
      int side = imageSize / patchSize;
      return side * side + 1;
    }
  }

  /**
   * BlipTextConfig. Names are the config's.
   *
   * @param vocabulary {@code vocab_size}
   * @param hiddenSize {@code hidden_size}
   * @param intermediateSize {@code intermediate_size}
   * @param layers {@code num_hidden_layers}
   * @param heads {@code num_attention_heads}
   * @param maxPositions {@code max_position_embeddings}
   * @param activation {@code hidden_act}
   * @param epsilon {@code layer_norm_eps}
   * @param begin {@code bos_token_id}: the token that every text begins with
   * @param end {@code sep_token_id}: the token that ends a text
   */
  public record Text(
      int vocabulary,
      int hiddenSize,
      int intermediateSize,
      int layers,
      int heads,
      int maxPositions,
      Activation activation,
      double epsilon,
      int begin,
      int end) {}

  /**
   * Reads a model's config.json; missing keys take transformers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static BlipConfig from(Config config) {
    ConfigValues.require(config, "tie_word_embeddings", true);
    return new BlipConfig(
        vision(section(config, "vision_config")), text(section(config, "text_config")));
  }

  private static Config section(Config config, String key) {
    return config.section(key).orElseGet(() -> Config.empty(config.source() + " [" + key + "]"));
  }

  private static Vision vision(Config config) {
    int hidden = ConfigValues.positive(config, "hidden_size", 768);
    int imageSize = ConfigValues.positive(config, "image_size", 384);
    int patchSize = ConfigValues.patchOfImage(config, 16, imageSize);
    ConfigValues.require(config, "num_channels", 3);
    return new Vision(
        imageSize,
        patchSize,
        hidden,
        ConfigValues.positive(config, "intermediate_size", 3072),
        ConfigValues.layers(config, "num_hidden_layers", 12),
        ConfigValues.heads(config, 12, hidden),
        ConfigValues.activation(config, "hidden_act", "gelu"),
        config.number("layer_norm_eps", 1e-5));
  }

  private static Text text(Config config) {
    ConfigValues.require(config, "is_decoder", true);
    int hidden = ConfigValues.positive(config, "hidden_size", 768);
    int vocabulary = ConfigValues.positive(config, "vocab_size", 30524);
    return new Text(
        vocabulary,
        hidden,
        ConfigValues.positive(config, "intermediate_size", 3072),
        ConfigValues.layers(config, "num_hidden_layers", 12),
        ConfigValues.heads(config, 8, hidden),
        ConfigValues.positive(config, "max_position_embeddings", 512),
        ConfigValues.activation(config, "hidden_act", "gelu"),
        config.number("layer_norm_eps", 1e-12),
        token(config, "bos_token_id", 30522, vocabulary),
        token(config, "sep_token_id", 102, vocabulary));
  }

  private static int token(Config config, String key, int defaultValue, int vocabulary) {
    int id = config.integer(key, defaultValue);
    if (id < 0 || id >= vocabulary) {
      throw config.unsupported(key, id, "0 to vocab_size - 1 (" + (vocabulary - 1) + ")");
    }
    return id;
  }
}
