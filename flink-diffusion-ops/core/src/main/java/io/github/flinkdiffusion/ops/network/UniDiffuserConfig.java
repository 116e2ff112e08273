/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' UniDiffuserModel. Names are the config's.
 *
 * @param textSize {@code text_dim}
 * @param imageSize {@code clip_img_dim}
 * @param textTokens {@code num_text_tokens}
 * @param heads {@code num_attention_heads}
 * @param headSize {@code attention_head_dim}
 * @param channels {@code in_channels} and {@code out_channels}
 * @param layers {@code num_layers}
 * @param sampleSize {@code sample_size}, the latent's side
 * @param patchSize {@code patch_size}
 * @param feedForward {@code activation_fn}
 * @param normsResidual {@code block_type} is unidiffuser: norms stand on the residual way itself
 * @param normsFirst {@code pre_layer_norm}
 * @param learnedNorms {@code norm_elementwise_affine}
 * @param attentionBias {@code attention_bias}
 * @param embeddedTimesteps {@code use_timestep_embedding}
 * @param dataType {@code use_data_type_embedding}
 */
@Internal
public record UniDiffuserConfig(
    int textSize,
    int imageSize,
    int textTokens,
    int heads,
    int headSize,
    int channels,
    int layers,
    int sampleSize,
    int patchSize,
    FeedForward feedForward,
    boolean normsResidual,
    boolean normsFirst,
    boolean learnedNorms,
    boolean attentionBias,
    boolean embeddedTimesteps,
    boolean dataType) {

  /** The activations of diffusers' FeedForward that are supported. */
  enum FeedForward {
    GELU,
    GELU_TANH,
    /** Half of the first layer gates the other (Shazeer 2020). */
    GEGLU
  }

  /** Patches along one side; a table of positions has its square. */
  private static final int MOST_PATCHES = 1024;

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static UniDiffuserConfig from(Config config) {
    ConfigValues.requireAbsent(config, "cross_attention_dim");
    ConfigValues.requireAbsent(config, "num_vector_embeds");
    ConfigValues.requireAbsent(config, "num_embeds_ada_norm");
    ConfigValues.require(config, "only_cross_attention", false);
    ConfigValues.require(config, "upcast_attention", false);
    ConfigValues.require(config, "norm_type", "layer_norm");
    ConfigValues.require(config, "use_patch_pos_embed", false);
    int heads = ConfigValues.positive(config, "num_attention_heads", 16);
    int headSize = ConfigValues.positive(config, "attention_head_dim", 88);
    long hidden = (long) heads * headSize;
    if (hidden % 2 != 0 || hidden > ConfigValues.LARGEST_SIZE) {
      throw config.unsupported(
          "attention_head_dim",
          headSize,
          "a size that makes a reasonable even number with num_attention_heads (" + heads + ")");
    }
    // diffusers has no default for these four either.
    int sampleSize = ConfigValues.positive(config, "sample_size", 0);
    int patchSize = ConfigValues.patchOfSample(config, 0, sampleSize, MOST_PATCHES);
    int channels = ConfigValues.positive(config, "in_channels", 0);
    ConfigValues.require(config, "out_channels", channels);
    String activation =
        ConfigValues.oneOf(
            config, "activation_fn", "geglu", List.of("gelu", "gelu-approximate", "geglu"));
    return new UniDiffuserConfig(
        ConfigValues.positive(config, "text_dim", 768),
        ConfigValues.positive(config, "clip_img_dim", 512),
        ConfigValues.positive(config, "num_text_tokens", 77),
        heads,
        headSize,
        channels,
        ConfigValues.layers(config, "num_layers", 1),
        sampleSize,
        patchSize,
        switch (activation) {
          case "gelu" -> FeedForward.GELU;
          case "geglu" -> FeedForward.GEGLU;
          default -> FeedForward.GELU_TANH;
        },
        config.string("block_type", "unidiffuser").equals("unidiffuser"),
        config.flag("pre_layer_norm", false),
        config.flag("norm_elementwise_affine", true),
        config.flag("attention_bias", false),
        config.flag("use_timestep_embedding", false),
        config.flag("use_data_type_embedding", false));
  }

  /** Size of a token. */
  int hiddenSize() {
    return heads * headSize;
  }

  /** Patches along one side. */
  int side() {
    return sampleSize / patchSize;
  }

  /** Values of a latent. */
  public int latentValues() {
    return channels * sampleSize * sampleSize;
  }

  /** Values of a text. */
  public int textValues() {
    return textTokens * textSize;
  }
}
