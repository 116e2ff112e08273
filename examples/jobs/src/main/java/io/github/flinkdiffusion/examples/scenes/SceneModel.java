/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/** Sizes of the second embedded text-to-image model. */
final class SceneModel {
  /** Pixels of a side. */
  static final int SIDE = 96;

  /** The autoencoder halves a side three times. */
  static final int LATENT_SIDE = 12;

  /**
   * Twice Stable Diffusion's: edges of small icons need them, and the denoiser's cost follows the
   * number of places, not of channels.
   */
  static final int LATENT_CHANNELS = 8;

  private static final List<Integer> VAE_CHANNELS = List.of(32, 64, 128, 128);
  private static final int GROUPS = 32;

  private SceneModel() {}

  /** Its autoencoder's config, with diffusers' field names. */
  static AutoencoderKLConfig autoencoder() {
    return AutoencoderKLConfig.from(
        Config.of("the autoencoder", new ObjectMapper().valueToTree(autoencoderJson())));
  }

  private static Map<String, Object> autoencoderJson() {
    return Map.of(
        "_class_name",
        "AutoencoderKL",
        "block_out_channels",
        VAE_CHANNELS,
        "down_block_types",
        Collections.nCopies(VAE_CHANNELS.size(), "DownEncoderBlock2D"),
        "up_block_types",
        Collections.nCopies(VAE_CHANNELS.size(), "UpDecoderBlock2D"),
        "latent_channels",
        LATENT_CHANNELS,
        "layers_per_block",
        1,
        "norm_num_groups",
        GROUPS,
        "sample_size",
        SIDE);
  }
}
