/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' SD3Transformer2DModel config, as far as it is supported. Names are the config's.
 *
 * @param sampleSize {@code sample_size}: both sides of the latent by default
 * @param patchSize {@code patch_size}
 * @param inChannels {@code in_channels}
 * @param outChannels {@code out_channels}
 * @param layers {@code num_layers}
 * @param heads {@code num_attention_heads}
 * @param headSize {@code attention_head_dim}
 * @param contextSize {@code joint_attention_dim}: of a token of the text
 * @param pooledSize {@code pooled_projection_dim}
 * @param mostPatches {@code pos_embed_max_size}: patches along one side for which there are
 *     positions
 * @param dualLayers {@code dual_attention_layers}
 * @param normsQueries whether {@code qk_norm} is rms_norm; else it is null
 */
@Internal
public record Sd3TransformerConfig(
    int sampleSize,
    int patchSize,
    int inChannels,
    int outChannels,
    int layers,
    int heads,
    int headSize,
    int contextSize,
    int pooledSize,
    int mostPatches,
    List<Integer> dualLayers,
    boolean normsQueries) {

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static Sd3TransformerConfig from(Config config) {
    int heads = ConfigValues.positive(config, "num_attention_heads", 18);
    int headSize = ConfigValues.positive(config, "attention_head_dim", 64);
    // The text's tokens are as large as the image's inside.
    ConfigValues.require(config, "caption_projection_dim", heads * headSize);
    int inChannels = ConfigValues.positive(config, "in_channels", 16);
    int layers = ConfigValues.layers(config, "num_layers", 18);
    List<Integer> dual = ConfigValues.boxed(config.integers("dual_attention_layers", new int[0]));
    return new Sd3TransformerConfig(
        ConfigValues.positive(config, "sample_size", 128),
        ConfigValues.positive(config, "patch_size", 2),
        inChannels,
        ConfigValues.positive(config, "out_channels", 16),
        layers,
        heads,
        headSize,
        ConfigValues.positive(config, "joint_attention_dim", 4096),
        ConfigValues.positive(config, "pooled_projection_dim", 2048),
        ConfigValues.positive(config, "pos_embed_max_size", 96),
        dual,
        config.has("qk_norm")
            && ConfigValues.oneOf(config, "qk_norm", null, List.of("rms_norm")).equals("rms_norm"));
  }

  int hiddenSize() {
    return heads * headSize;
  }
}
