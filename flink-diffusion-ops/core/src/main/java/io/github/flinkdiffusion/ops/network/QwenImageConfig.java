/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' QwenImageTransformer2DModel config, as far as it is supported. Names are the config's.
 *
 * @param patchSize {@code patch_size}
 * @param inChannels {@code in_channels}, of a patch
 * @param outChannels {@code out_channels}, of each of its pixels
 * @param layers {@code num_layers}
 * @param heads {@code num_attention_heads}
 * @param headSize {@code attention_head_dim}
 * @param textSize {@code joint_attention_dim}
 * @param frameAxis the part of a head that a frame turns: {@code axes_dims_rope}
 * @param rowAxis the part that a patch's row turns
 * @param columnAxis the part that a patch's column turns
 */
@Internal
public record QwenImageConfig(
    int patchSize,
    int inChannels,
    int outChannels,
    int layers,
    int heads,
    int headSize,
    int textSize,
    int frameAxis,
    int rowAxis,
    int columnAxis) {

  /** Places that the reference has angles for; a text begins behind half the image's side. */
  public static final int PLACES = 4096;

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static QwenImageConfig from(Config config) {
    for (String key :
        new String[] {
          "guidance_embeds", "zero_cond_t", "use_additional_t_cond", "use_layer3d_rope"
        }) {
      ConfigValues.require(config, key, false);
    }
    int[] axes = config.integers("axes_dims_rope", new int[] {16, 56, 56});
    int headSize = ConfigValues.positive(config, "attention_head_dim", 128);
    boolean even = axes.length == 3;
    int sum = 0;
    for (int axis : axes) {
      even &= axis > 0 && axis % 2 == 0;
      sum += axis;
    }
    if (!even || sum != headSize) {
      throw config.unsupported(
          "axes_dims_rope",
          config.node().get("axes_dims_rope"),
          "three even numbers whose sum is attention_head_dim (" + headSize + ")");
    }
    int patch = ConfigValues.positive(config, "patch_size", 2);
    int in = ConfigValues.positive(config, "in_channels", 64);
    if (in % (patch * patch) != 0) {
      throw config.unsupported(
          "in_channels", in, "a multiple of patch_size squared (" + patch * patch + ")");
    }
    return new QwenImageConfig(
        patch,
        in,
        ConfigValues.positive(config, "out_channels", 16),
        ConfigValues.layers(config, "num_layers", 60),
        ConfigValues.positive(config, "num_attention_heads", 24),
        headSize,
        ConfigValues.positive(config, "joint_attention_dim", 3584),
        axes[0],
        axes[1],
        axes[2]);
  }

  /** Of a token. */
  int size() {
    return heads * headSize;
  }

  /** Channels of the latent, of whose pixels a patch has several. */
  public int latentChannels() {
    return inChannels / (patchSize * patchSize);
  }
}
