/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import org.apache.flink.annotation.Internal;

/**
 * transformers' CLIPVisionConfig. Names are the config's.
 *
 * @param channels {@code num_channels}
 * @param imageSize {@code image_size}: both sides of a picture, in pixels
 * @param patchSize {@code patch_size}
 * @param hiddenSize {@code hidden_size}
 * @param intermediateSize {@code intermediate_size}
 * @param layers {@code num_hidden_layers}
 * @param heads {@code num_attention_heads}
 * @param projectionSize {@code projection_dim}
 * @param activation {@code hidden_act}
 * @param epsilon {@code layer_norm_eps}
 */
@Internal
public record ClipVisionConfig(
    int channels,
    int imageSize,
    int patchSize,
    int hiddenSize,
    int intermediateSize,
    int layers,
    int heads,
    int projectionSize,
    Activation activation,
    double epsilon) {

  /**
   * Reads a component's config.json; missing keys take transformers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static ClipVisionConfig from(Config config) {
    Config own = config.section("vision_config").orElse(config);
    return from(own, own);
  }

  /**
   * Reads the config of a whole CLIP, such as a safety checker's, whose vision network is described
   * in a section and whose {@code projection_dim} stands outside. Old files repeat the section
   * under {@code vision_config_dict}, which then counts.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static ClipVisionConfig fromClip(Config config) {
    Config vision =
        config
            .section("vision_config_dict")
            .or(() -> config.section("vision_config"))
            .orElseGet(() -> Config.empty(config.source() + " [vision_config]"));
    return from(vision, config);
  }

  private static ClipVisionConfig from(Config config, Config projection) {
    int hidden = ConfigValues.positive(config, "hidden_size", 768);
    int imageSize = ConfigValues.positive(config, "image_size", 224);
    int patchSize = ConfigValues.patchOfImage(config, 32, imageSize);
    return new ClipVisionConfig(
        ConfigValues.positive(config, "num_channels", 3),
        imageSize,
        patchSize,
        hidden,
        ConfigValues.positive(config, "intermediate_size", 3072),
        ConfigValues.layers(config, "num_hidden_layers", 12),
        ConfigValues.heads(config, 12, hidden),
        ConfigValues.positive(projection, "projection_dim", 512),
        ConfigValues.activation(config, "hidden_act", "quick_gelu"),
        config.number("layer_norm_eps", 1e-5));
  }

  /** The class token and all patches. */
  int tokens() {
    int side = imageSize / patchSize;
    return side * side + 1;
  }
}
