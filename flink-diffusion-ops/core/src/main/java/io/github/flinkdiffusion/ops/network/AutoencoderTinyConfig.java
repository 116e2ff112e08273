/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.HashSet;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' AutoencoderTiny config. Names are the config's.
 *
 * @param inChannels {@code in_channels}
 * @param outChannels {@code out_channels}
 * @param encoderChannels {@code encoder_block_out_channels}, the same at each level
 * @param decoderChannels {@code decoder_block_out_channels}, the same at each level
 * @param encoderBlocks {@code num_encoder_blocks} of each level
 * @param decoderBlocks {@code num_decoder_blocks} of each level
 * @param latentChannels {@code latent_channels}
 * @param upsampling {@code upsampling_scaling_factor}
 * @param activation {@code act_fn}
 * @param scalingFactor {@code scaling_factor}
 * @param shiftFactor {@code shift_factor}
 */
@Internal
public record AutoencoderTinyConfig(
    int inChannels,
    int outChannels,
    int encoderChannels,
    int decoderChannels,
    List<Integer> encoderBlocks,
    List<Integer> decoderBlocks,
    int latentChannels,
    int upsampling,
    Activation activation,
    double scalingFactor,
    double shiftFactor) {

  public AutoencoderTinyConfig {
    encoderBlocks = List.copyOf(encoderBlocks);
    decoderBlocks = List.copyOf(decoderBlocks);
  }

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static AutoencoderTinyConfig from(Config config) {
    ConfigValues.require(config, "upsample_fn", "nearest");
    List<Integer> encoderBlocks =
        ConfigValues.layersListed(config, "num_encoder_blocks", new int[] {1, 3, 3, 3});
    List<Integer> decoderBlocks =
        ConfigValues.layersListed(config, "num_decoder_blocks", new int[] {3, 3, 3, 1});
    return new AutoencoderTinyConfig(
        ConfigValues.positive(config, "in_channels", 3),
        ConfigValues.positive(config, "out_channels", 3),
        channels(config, "encoder_block_out_channels", "num_encoder_blocks", encoderBlocks),
        channels(config, "decoder_block_out_channels", "num_decoder_blocks", decoderBlocks),
        encoderBlocks,
        decoderBlocks,
        ConfigValues.positive(config, "latent_channels", 4),
        ConfigValues.positive(config, "upsampling_scaling_factor", 2),
        ConfigValues.activation(config, "act_fn", "relu"),
        config.number("scaling_factor", 1),
        config.number("shift_factor", 0));
  }

  /** The reference's layers fit together only when all levels have as many channels. */
  private static int channels(Config config, String key, String blocksKey, List<Integer> blocks) {
    List<Integer> channels = ConfigValues.boxed(config.integers(key, new int[] {64, 64, 64, 64}));
    if (blocks.isEmpty()
        || channels.size() != blocks.size()
        || new HashSet<>(channels).size() != 1
        || channels.get(0) < 1) {
      throw config.unsupported(
          key, channels, "one entry for each of " + blocksKey + " " + blocks + ", all the same");
    }
    return channels.get(0);
  }

  /** Pixels along one side of a latent's pixel. */
  public int scaleFactor() {
    return 1 << (encoderBlocks.size() - 1);
  }
}
