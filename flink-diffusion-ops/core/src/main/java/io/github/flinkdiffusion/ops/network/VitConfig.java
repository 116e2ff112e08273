/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * transformers' ViTConfig of a classifier. Names are the config's.
 *
 * @param imageSize {@code image_size}: both sides of an image, in pixels
 * @param patchSize {@code patch_size}
 * @param hiddenSize {@code hidden_size}
 * @param intermediateSize {@code intermediate_size}
 * @param layers {@code num_hidden_layers}
 * @param heads {@code num_attention_heads}
 * @param activation {@code hidden_act}
 * @param epsilon {@code layer_norm_eps}
 * @param queriesBiased {@code qkv_bias}
 * @param labels of {@code id2label}, in the order of their numbers
 */
@Internal
public record VitConfig(
    int imageSize,
    int patchSize,
    int hiddenSize,
    int intermediateSize,
    int layers,
    int heads,
    Activation activation,
    double epsilon,
    boolean queriesBiased,
    List<String> labels) {
  private static final int MOST_LABELS = 100_000;

  /**
   * Reads a model's config.json; missing keys take transformers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static VitConfig from(Config config) {
    int hidden = ConfigValues.positive(config, "hidden_size", 768);
    int imageSize = ConfigValues.positive(config, "image_size", 224);
    int patchSize = ConfigValues.patchOfImage(config, 16, imageSize);
    ConfigValues.require(config, "num_channels", 3);
    return new VitConfig(
        imageSize,
        patchSize,
        hidden,
        ConfigValues.positive(config, "intermediate_size", 3072),
        ConfigValues.layers(config, "num_hidden_layers", 12),
        ConfigValues.heads(config, 12, hidden),
        ConfigValues.activation(config, "hidden_act", "gelu"),
        config.number("layer_norm_eps", 1e-12),
        config.flag("qkv_bias", true),
        labels(config));
  }

  private static List<String> labels(Config config) {
    JsonNode names = config.node().get("id2label");
    int count = names == null ? 0 : names.size();
    if (count < 1 || count > MOST_LABELS || !names.isObject()) {
      throw config.unsupported(
          "id2label", names, "an object of 1 to " + MOST_LABELS + " names by number, from 0");
    }
    List<String> labels = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      JsonNode name = names.get(String.valueOf(i));
      if (name == null || !name.isTextual()) {
        throw config.unsupported("id2label", names, "a name for each number from 0");
      }
      labels.add(name.textValue());
    }
    return List.copyOf(labels);
  }

  /** The class token and all patches. */
  int tokens() {
    int side = imageSize / patchSize;
    return side * side + 1;
  }
}
