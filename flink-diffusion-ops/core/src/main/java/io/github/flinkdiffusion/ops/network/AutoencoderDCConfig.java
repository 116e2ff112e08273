/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' AutoencoderDC config, as far as it is supported. Names are the config's.
 *
 * @param inChannels {@code in_channels}
 * @param latentChannels {@code latent_channels}
 * @param headSize {@code attention_head_dim}
 * @param encoder what the encoder's levels are
 * @param decoder what the decoder's levels are
 * @param shuffles whether {@code upsample_block_type} is {@code pixel_shuffle}, not {@code
 *     interpolate}
 * @param unshuffles whether {@code downsample_block_type} is {@code pixel_unshuffle}, not {@code
 *     Conv}
 * @param outShortcut {@code encoder_out_shortcut}
 * @param inShortcut {@code decoder_in_shortcut}
 * @param scalingFactor {@code scaling_factor}
 */
@Internal
public record AutoencoderDCConfig(
    int inChannels,
    int latentChannels,
    int headSize,
    List<Level> encoder,
    List<Level> decoder,
    boolean shuffles,
    boolean unshuffles,
    boolean outShortcut,
    boolean inShortcut,
    double scalingFactor) {
  private static final String RESIDUAL = "ResBlock";
  private static final String ATTENTION = "EfficientViTBlock";

  /**
   * A level of an encoder or a decoder.
   *
   * @param channels {@code ..._block_out_channels}
   * @param layers {@code ..._layers_per_block}; the first level may have none
   * @param attention whether its {@code ..._block_types} is EfficientViTBlock
   * @param kernels {@code ..._qkv_multiscales}
   */
  @Internal
  public record Level(int channels, int layers, boolean attention, List<Integer> kernels) {}

  public AutoencoderDCConfig {
    encoder = List.copyOf(encoder);
    decoder = List.copyOf(decoder);
  }

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static AutoencoderDCConfig from(Config config) {
    everywhere(config, "decoder_norm_types", "rms_norm");
    everywhere(config, "decoder_act_fns", "silu");
    ConfigValues.require(config, "decoder_conv_act_fn", "relu");
    int head = ConfigValues.positive(config, "attention_head_dim", 32);
    List<Level> encoder = levels(config, "encoder", new int[] {2, 2, 2, 3, 3, 3}, head);
    List<Level> decoder = levels(config, "decoder", new int[] {3, 3, 3, 3, 3, 3}, head);
    if (encoder.size() != decoder.size()) {
      throw config.unsupported(
          "decoder_block_out_channels", decoder.size(), "as many levels as the encoder's");
    }
    int latent = ConfigValues.positive(config, "latent_channels", 32);
    boolean outShortcut = config.flag("encoder_out_shortcut", true);
    boolean inShortcut = config.flag("decoder_in_shortcut", true);
    int last = encoder.size() - 1;
    if (outShortcut && encoder.get(last).channels() % latent != 0
        || inShortcut && decoder.get(last).channels() % latent != 0) {
      throw config.unsupported(
          "latent_channels", latent, "a divisor of the channels of the last level");
    }
    return new AutoencoderDCConfig(
        ConfigValues.positive(config, "in_channels", 3),
        latent,
        head,
        encoder,
        decoder,
        ConfigValues.oneOf(
                config,
                "upsample_block_type",
                "pixel_shuffle",
                List.of("pixel_shuffle", "interpolate"))
            .equals("pixel_shuffle"),
        ConfigValues.oneOf(
                config,
                "downsample_block_type",
                "pixel_unshuffle",
                List.of("pixel_unshuffle", "Conv"))
            .equals("pixel_unshuffle"),
        outShortcut,
        inShortcut,
        config.number("scaling_factor", 1));
  }

  private static void everywhere(Config config, String key, String supported) {
    if (!config.has(key)) {
      return;
    }
    for (String each : words(config, key, supported, 1)) {
      if (!each.equals(supported)) {
        throw config.unsupported(key, each, supported);
      }
    }
  }

  /** A list of words, or one for all. */
  private static List<String> words(Config config, String key, String absent, int count) {
    return config.has(key) && config.node().get(key).isArray()
        ? config.strings(key)
        : Collections.nCopies(count, config.string(key, absent));
  }

  private static List<Level> levels(Config config, String part, int[] layers, int head) {
    String channelsKey = part + "_block_out_channels";
    int[] channels = config.integers(channelsKey, new int[] {128, 256, 512, 512, 1024, 1024});
    int[] counts = config.integers(part + "_layers_per_block", layers);
    List<String> types = words(config, part + "_block_types", RESIDUAL, channels.length);
    JsonNode scales = config.node().get(part + "_qkv_multiscales");
    boolean listed = scales != null && scales.isArray();
    if (channels.length < 2
        || counts.length != channels.length
        || types.size() != channels.length
        || listed && scales.size() != channels.length) {
      throw config.unsupported(
          channelsKey,
          config.node().get(channelsKey),
          "two levels or more, and as many layers, types and scales");
    }
    List<Level> levels = new ArrayList<>();
    for (int i = 0; i < channels.length; i++) {
      String type = types.get(i);
      boolean attention = type.equals(ATTENTION);
      if (!attention && !type.equals(RESIDUAL)) {
        throw config.unsupported(part + "_block_types", type, RESIDUAL + ", " + ATTENTION);
      }
      if (channels[i] < 1
          || channels[i] > ConfigValues.LARGEST_SIZE
          || attention && channels[i] < head
          || counts[i] < (i == 0 ? 0 : 1)
          || counts[i] > 1000) {
        throw config.unsupported(
            channelsKey,
            channels[i] + " with " + counts[i] + " layers",
            "1 channel or more, attention_head_dim (%d) or more for attention, and 1 to 1000 layers, 0 in the first level"
                .formatted(head));
      }
      if (i > 0 && (4L * channels[i - 1] % channels[i] != 0 || channels[i] % 4 != 0)) {
        throw config.unsupported(
            channelsKey,
            config.node().get(channelsKey),
            "multiples of 4 that divide four times the channels of the level before");
      }
      List<Integer> kernels = new ArrayList<>();
      if (listed) {
        for (JsonNode kernel : scales.get(i)) {
          if (!kernel.isInt() || kernel.intValue() < 1 || kernel.intValue() % 2 == 0) {
            throw config.unsupported(part + "_qkv_multiscales", kernel, "odd numbers");
          }
          kernels.add(kernel.intValue());
        }
      } else if (i >= 3) {
        kernels.add(5);
      }
      levels.add(new Level(channels[i], counts[i], attention, List.copyOf(kernels)));
    }
    return levels;
  }

  /** Pixels along one side of a latent's pixel. */
  public int scaleFactor() {
    return 1 << (encoder.size() - 1);
  }
}
