/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' FluxTransformer2DModel config, as far as it is supported. Names are the config's.
 *
 * @param inChannels {@code in_channels} / 4: channels of the sample before 2 x 2 pixels are one
 *     token
 * @param outChannels {@code out_channels} / 4
 * @param layers {@code num_layers}
 * @param singleLayers {@code num_single_layers}
 * @param heads {@code num_attention_heads}
 * @param headSize {@code attention_head_dim}
 * @param contextSize {@code joint_attention_dim}: of a token of the text
 * @param pooledSize {@code pooled_projection_dim}
 * @param guided {@code guidance_embeds}: whether the guidance scale is an input
 * @param axes {@code axes_dims_rope}
 */
@Internal
public record FluxTransformerConfig(
    int inChannels,
    int outChannels,
    int layers,
    int singleLayers,
    int heads,
    int headSize,
    int contextSize,
    int pooledSize,
    boolean guided,
    List<Integer> axes) {
  private static final int TOKEN = 4;

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static FluxTransformerConfig from(Config config) {
    ConfigValues.require(config, "patch_size", 1);
    int heads = ConfigValues.positive(config, "num_attention_heads", 24);
    int headSize = ConfigValues.positive(config, "attention_head_dim", 128);
    int in = ConfigValues.positive(config, "in_channels", 64);
    int out = ConfigValues.positive(config, "out_channels", in);
    ConfigValues.requireDivisible(config, "in_channels", List.of(in, out), TOKEN, "pixels a token");
    List<Integer> axes =
        ConfigValues.boxed(config.integers("axes_dims_rope", new int[] {16, 56, 56}));
    boolean even = axes.stream().allMatch(size -> size > 0 && size % 2 == 0);
    if (axes.size() != 3 || !even || axes.stream().mapToInt(Integer::intValue).sum() != headSize) {
      throw config.unsupported(
          "axes_dims_rope",
          axes,
          "three even numbers that make attention_head_dim (%d) together".formatted(headSize));
    }
    return new FluxTransformerConfig(
        in / TOKEN,
        out / TOKEN,
        ConfigValues.layers(config, "num_layers", 19),
        ConfigValues.layers(config, "num_single_layers", 38),
        heads,
        headSize,
        ConfigValues.positive(config, "joint_attention_dim", 4096),
        ConfigValues.positive(config, "pooled_projection_dim", 768),
        config.flag("guidance_embeds", false),
        axes);
  }

  int hiddenSize() {
    return heads * headSize;
  }
}
