/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' DiTTransformer2DModel config, as far as it is supported. Names are the config's.
 *
 * @param heads {@code num_attention_heads}
 * @param headSize {@code attention_head_dim}
 * @param inChannels {@code in_channels}
 * @param outChannels {@code out_channels}, by default the input's; twice as many where the network
 *     learned a variance
 * @param layers {@code num_layers}
 * @param sampleSize {@code sample_size}: both sides of the latent
 * @param patchSize {@code patch_size}
 * @param classes {@code num_embeds_ada_norm}; one more label, the last, means none
 * @param epsilon {@code norm_eps}
 */
@Internal
public record DiTConfig(
    int heads,
    int headSize,
    int inChannels,
    int outChannels,
    int layers,
    int sampleSize,
    int patchSize,
    int classes,
    double epsilon) {
  /** Each has a position, which is computed; 32 for the largest there is. */
  private static final int MOST_PATCHES = 512;

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static DiTConfig from(Config config) {
    ConfigValues.require(config, "activation_fn", "gelu-approximate");
    ConfigValues.require(config, "attention_bias", true);
    ConfigValues.require(config, "norm_type", "ada_norm_zero");
    ConfigValues.require(config, "norm_elementwise_affine", false);
    ConfigValues.require(config, "upcast_attention", false);
    int heads = ConfigValues.positive(config, "num_attention_heads", 16);
    int headSize = ConfigValues.positive(config, "attention_head_dim", 72);
    long hidden = (long) heads * headSize;
    if (hidden % 4 != 0 || hidden > ConfigValues.LARGEST_SIZE) {
      throw config.unsupported(
          "attention_head_dim",
          headSize,
          "a size that makes a reasonable multiple of 4 with num_attention_heads ("
              + heads
              + "): sines and cosines of two positions");
    }
    int sampleSize = ConfigValues.positive(config, "sample_size", 32);
    int patchSize = ConfigValues.patchOfSample(config, 2, sampleSize, MOST_PATCHES);
    int inChannels = ConfigValues.positive(config, "in_channels", 4);
    return new DiTConfig(
        heads,
        headSize,
        inChannels,
        ConfigValues.positive(config, "out_channels", inChannels),
        ConfigValues.layers(config, "num_layers", 28),
        sampleSize,
        patchSize,
        ConfigValues.positive(config, "num_embeds_ada_norm", 1000),
        config.number("norm_eps", 1e-5));
  }

  /** Size of a token. */
  int hiddenSize() {
    return heads * headSize;
  }

  /** Patches along one side. */
  int side() {
    return sampleSize / patchSize;
  }
}
