/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' Lumina2Transformer2DModel config, as far as it is supported. Names are the config's.
 *
 * @param side {@code sample_size}, pixels of the latent along a side in training
 * @param channels {@code in_channels}
 * @param size {@code hidden_size}, of a token
 * @param layers {@code num_layers}
 * @param refinerLayers {@code num_refiner_layers}
 * @param heads {@code num_attention_heads}
 * @param keyHeads {@code num_kv_heads}: groups of heads that share keys and values
 * @param innerSize of the feed-forward: four times the size, by {@code ffn_dim_multiplier}, rounded
 *     up to {@code multiple_of}
 * @param epsilon {@code norm_eps}
 * @param textSize {@code cap_feat_dim}
 * @param textAxis the part of a head that a token's place in the text turns: {@code axes_dim_rope}
 * @param rowAxis the part that a patch's row turns
 * @param columnAxis the part that a patch's column turns
 * @param maxTextPositions the first of {@code axes_lens}: places of the longest text and of the
 *     image behind it
 * @param maxSide the smaller of the others, in patches
 */
@Internal
public record Lumina2Config(
    int side,
    int channels,
    int size,
    int layers,
    int refinerLayers,
    int heads,
    int keyHeads,
    int innerSize,
    double epsilon,
    int textSize,
    int textAxis,
    int rowAxis,
    int columnAxis,
    int maxTextPositions,
    int maxSide)
    implements OneStreamShape {

  /** Pixels of the latent along a side of a patch: the only {@code patch_size}. */
  public static final int PATCH = 2;

  private static final double THETA = 10_000;

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static Lumina2Config from(Config config) {
    ConfigValues.require(config, "patch_size", PATCH);
    int channels = ConfigValues.positive(config, "in_channels", 16);
    int out = config.has("out_channels") ? config.integer("out_channels") : channels;
    if (out != channels) {
      throw config.unsupported("out_channels", out, "as many as in_channels, " + channels);
    }
    int size = ConfigValues.positive(config, "hidden_size", 2304);
    int heads = ConfigValues.positive(config, "num_attention_heads", 24);
    int keyHeads = ConfigValues.positive(config, "num_kv_heads", 8);
    if (heads % keyHeads != 0) {
      throw config.unsupported("num_kv_heads", keyHeads, "a divisor of the heads, " + heads);
    }
    int[] axes =
        OneStreamShape.axes(
            config,
            "axes_dim_rope",
            new int[] {32, 32, 32},
            size,
            heads,
            "hidden_size / num_attention_heads");
    int[] lengths = OneStreamShape.lengths(config, new int[] {300, 512, 512}, 2);
    return new Lumina2Config(
        ConfigValues.positive(config, "sample_size", 128),
        channels,
        size,
        ConfigValues.layers(config, "num_layers", 26),
        ConfigValues.layers(config, "num_refiner_layers", 2),
        heads,
        keyHeads,
        inner(config, size),
        config.number("norm_eps", 1e-5),
        ConfigValues.positive(config, "cap_feat_dim", 1024),
        axes[0],
        axes[1],
        axes[2],
        lengths[0],
        Math.min(lengths[1], lengths[2]));
  }

  private static int inner(Config config, int size) {
    int multiple = ConfigValues.positive(config, "multiple_of", 256);
    double factor = config.number("ffn_dim_multiplier", 1);
    if (!(factor > 0 && factor <= 64)) {
      throw config.unsupported("ffn_dim_multiplier", factor, "a number above 0, up to 64");
    }
    long inner = (long) (factor * 4 * size);
    return Math.toIntExact((inner + multiple - 1) / multiple * multiple);
  }

  @Override
  public int patchSize() {
    return PATCH;
  }

  @Override
  public double theta() {
    return THETA;
  }
}
