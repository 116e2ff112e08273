package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;

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
 */
public record ClipTextConfig(
    int vocabSize,
    int hiddenSize,
    int intermediateSize,
    int layers,
    int heads,
    int maxPositions,
    Activation activation,
    double epsilon) {

  /**
   * Reads a component's config.json; missing keys take transformers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static ClipTextConfig from(Config config) {
    int hidden = config.integer("hidden_size", 512);
    int heads = config.integer("num_attention_heads", 8);
    if (heads < 1 || hidden % heads != 0) {
      throw config.unsupported(
          "num_attention_heads", heads, "a divisor of hidden_size (" + hidden + ")");
    }
    return new ClipTextConfig(
        config.integer("vocab_size", 49408),
        hidden,
        config.integer("intermediate_size", 2048),
        config.integer("num_hidden_layers", 12),
        heads,
        config.integer("max_position_embeddings", 77),
        ConfigValues.activation(config, "hidden_act", "quick_gelu"),
        config.number("layer_norm_eps", 1e-5));
  }
}
