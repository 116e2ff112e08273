/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' ZImageTransformer2DModel config, as far as it is supported. Names are the config's.
 *
 * @param channels {@code in_channels}
 * @param patchSize the one number of {@code all_patch_size}
 * @param size {@code dim}, of a token
 * @param layers {@code n_layers}
 * @param refinerLayers {@code n_refiner_layers}
 * @param heads {@code n_heads}
 * @param epsilon {@code norm_eps}
 * @param headNorms {@code qk_norm}
 * @param textSize {@code cap_feat_dim}
 * @param theta {@code rope_theta}
 * @param timeScale {@code t_scale}
 * @param textAxis the part of a head that a token's place in the text turns: {@code axes_dims}
 * @param rowAxis the part that a patch's row turns
 * @param columnAxis the part that a patch's column turns
 * @param maxTextPositions the first of {@code axes_lens}: one more than the places of the longest
 *     text and of the image behind it
 * @param maxSide the smaller of the others, in patches
 */
@Internal
public record ZImageConfig(
    int channels,
    int patchSize,
    int size,
    int layers,
    int refinerLayers,
    int heads,
    double epsilon,
    boolean headNorms,
    int textSize,
    double theta,
    double timeScale,
    int textAxis,
    int rowAxis,
    int columnAxis,
    int maxTextPositions,
    int maxSide)
    implements OneStreamShape {

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static ZImageConfig from(Config config) {
    ConfigValues.requireAbsent(config, "siglip_feat_dim");
    int[] patch = config.integers("all_patch_size", new int[] {2});
    int[] frames = config.integers("all_f_patch_size", new int[] {1});
    if (patch.length != 1 || patch[0] < 1 || patch[0] > 64) {
      throw config.unsupported("all_patch_size", config.node().get("all_patch_size"), "one size");
    }
    if (frames.length != 1 || frames[0] != 1) {
      throw config.unsupported("all_f_patch_size", config.node().get("all_f_patch_size"), "[1]");
    }
    int size = ConfigValues.positive(config, "dim", 3840);
    int heads = ConfigValues.positive(config, "n_heads", 30);
    int[] axes =
        OneStreamShape.axes(
            config, "axes_dims", new int[] {32, 48, 48}, size, heads, "dim / n_heads");
    int[] lengths = OneStreamShape.lengths(config, new int[] {1024, 512, 512}, 34);
    return new ZImageConfig(
        ConfigValues.positive(config, "in_channels", 16),
        patch[0],
        size,
        ConfigValues.layers(config, "n_layers", 30),
        ConfigValues.layers(config, "n_refiner_layers", 2),
        heads,
        config.number("norm_eps", 1e-5),
        config.flag("qk_norm", true),
        ConfigValues.positive(config, "cap_feat_dim", 2560),
        config.number("rope_theta", 256),
        config.number("t_scale", 1000),
        axes[0],
        axes[1],
        axes[2],
        lengths[0],
        Math.min(lengths[1], lengths[2]));
  }
}
