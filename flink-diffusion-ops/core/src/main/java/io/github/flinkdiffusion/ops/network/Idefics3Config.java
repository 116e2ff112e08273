/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * transformers' Idefics3Config, the config of SmolVLM: a vision network, a connector, and a Llama.
 *
 * @param vision of the section {@code vision_config}
 * @param text of the section {@code text_config}
 * @param scaleFactor {@code scale_factor}: patches of either direction that become one token
 * @param imageToken {@code image_token_id}: the token in whose places an image stands
 * @param tied {@code tie_word_embeddings}: whether the embedding scores tokens, too
 */
@Internal
public record Idefics3Config(
    Vision vision, CausalTextConfig text, int scaleFactor, int imageToken, boolean tied) {

  /**
   * Patches of a side for which transformers' positions, which it finds in float32, are 0, 1, 2
   * ...; for others, such as 25, rounding gives some patches another one's.
   */
  private static final List<Integer> SIDES = List.of(1, 2, 4, 8, 16, 26, 27, 32, 64);

  /**
   * Idefics3VisionConfig. Names are the config's.
   *
   * @param imageSize {@code image_size}: both sides of an image, in pixels
   * @param patchSize {@code patch_size}
   * @param hiddenSize {@code hidden_size}
   * @param intermediateSize {@code intermediate_size}
   * @param layers {@code num_hidden_layers}
   * @param heads {@code num_attention_heads}
   * @param epsilon {@code layer_norm_eps}
   */
  public record Vision(
      int imageSize,
      int patchSize,
      int hiddenSize,
      int intermediateSize,
      int layers,
      int heads,
      double epsilon) {

    /** Patches of either side. */
    public int side() {
      return imageSize / patchSize;
    }
  }

  /** Tokens that an image, or a part of one, becomes. */
  public int imageTokens() {
    int side = vision.side() / scaleFactor;
    return side * side;
  }

  /**
   * Reads a model's config.json; missing keys take transformers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static Idefics3Config from(Config config) {
    Config seen = section(config, "vision_config");
    Vision vision = vision(seen);
    int scale = config.integer("scale_factor", 2);
    if (scale < 1 || vision.side() % scale != 0) {
      throw config.unsupported(
          "scale_factor", scale, "a divisor of image_size / patch_size (" + vision.side() + ")");
    }
    Config written = section(config, "text_config");
    ConfigValues.require(written, "model_type", "llama");
    CausalTextConfig text = CausalTextConfig.from(config, CausalTextConfig.Type.LLAMA);
    int token = config.integer("image_token_id", 128_257);
    if (token < 0 || token >= text.vocabulary()) {
      throw config.unsupported(
          "image_token_id", token, "0 to vocab_size - 1 (" + (text.vocabulary() - 1) + ")");
    }
    return new Idefics3Config(
        vision, text, scale, token, config.flag("tie_word_embeddings", false));
  }

  private static Config section(Config config, String key) {
    return config.section(key).orElseThrow(() -> config.unsupported(key, "missing", "an object"));
  }

  private static Vision vision(Config config) {
    int hidden = ConfigValues.positive(config, "hidden_size", 1152);
    int imageSize = ConfigValues.positive(config, "image_size", 224);
    int patchSize = ConfigValues.positive(config, "patch_size", 32);
    if (!SIDES.contains(imageSize / patchSize)) {
      throw config.unsupported(
          "patch_size",
          patchSize,
          "one that makes image_size / patch_size one of " + SIDES + ", where positions are exact");
    }
    ConfigValues.require(config, "num_channels", 3);
    ConfigValues.require(config, "hidden_act", "gelu_pytorch_tanh");
    return new Vision(
        imageSize,
        patchSize,
        hidden,
        ConfigValues.positive(config, "intermediate_size", 3072),
        ConfigValues.layers(config, "num_hidden_layers", 12),
        ConfigValues.heads(config, 16, hidden),
        config.number("layer_norm_eps", 1e-6));
  }
}
