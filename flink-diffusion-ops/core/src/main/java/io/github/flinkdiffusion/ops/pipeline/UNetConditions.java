/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import java.util.List;

/** Checks that a conditioned UNet takes what a task gives it. */
final class UNetConditions {

  /** {@code time_cond_proj_dim}: the guidance scale is an input. */
  static final String GUIDANCE = "time_cond_proj_dim";

  /** {@code addition_embed_type}: a pooled text and sizes are inputs. */
  static final String TEXT_TIME = "addition_embed_type";

  /** Keys of a UNet's config that ask for an input beside the text. */
  private static final List<String> BESIDE_TEXT =
      List.of("class_embed_type", "num_class_embeds", GUIDANCE, TEXT_TIME);

  private UNetConditions() {}

  /**
   * @throws IllegalConfigException when the network wants to know more than a text
   */
  static void textAlone(Config config) {
    textAnd(config, List.of());
  }

  /**
   * @param known keys that ask for what the pipeline gives
   * @throws IllegalConfigException when the network wants to know more than a text and those
   */
  static void textAnd(Config config, List<String> known) {
    for (String key : BESIDE_TEXT) {
      if (config.has(key)
          && !known.contains(key)
          // What that type adds comes from the text alone.
          && !config.node().get(key).asText().equals("text")) {
        throw config.unsupported(
            key, config.node().get(key), "null in a pipeline that does not know it");
      }
    }
    if (config.has("encoder_hid_dim_type")
        && !config.node().get("encoder_hid_dim_type").asText().equals("text_proj")) {
      throw config.unsupported(
          "encoder_hid_dim_type",
          config.node().get("encoder_hid_dim_type"),
          "text_proj or null in a pipeline without an image's embedding");
    }
  }

  /**
   * @throws IllegalConfigException unless the text encoder's states are as large as the network's
   *     context
   */
  static void fits(Config config, UNet2DConditionConfig unet, PromptEncoder prompts) {
    fits(config, unet, prompts.hiddenSize(), "the text encoder's hidden_size, ");
  }

  /**
   * @param size of a token of the context
   * @param what that size is, for the message
   * @throws IllegalConfigException unless that is the size of the network's context
   */
  static void fits(Config config, UNet2DConditionConfig unet, int size, String what) {
    if (unet.contextSize() != size) {
      throw config.unsupported(
          config.has("encoder_hid_dim") ? "encoder_hid_dim" : "cross_attention_dim",
          unet.contextSize(),
          what + size);
    }
  }

  /**
   * @throws IllegalConfigException when the network's sample must have sides that halve evenly
   */
  static void anySide(Config config, UNet2DConditionConfig unet) {
    if (unet.sideMultiple() > 1) {
      throw config.unsupported(
          "up_block_types",
          config.node().get("up_block_types"),
          "UpBlock2D and CrossAttnUpBlock2D in a pipeline whose images may have any size");
    }
  }

  /**
   * @param appended channels beside the latent's
   * @throws IllegalConfigException unless the network takes and gives that many channels
   */
  static void channels(
      Config config, UNet2DConditionConfig unet, Autoencoder autoencoder, int appended) {
    int latent = autoencoder.format().latentChannels();
    if (unet.inChannels() != latent + appended) {
      throw config.unsupported(
          "in_channels",
          unet.inChannels(),
          appended == 0
              ? "the autoencoder's latent_channels, " + latent
              : "the autoencoder's latent_channels and %d more, %d"
                  .formatted(appended, latent + appended));
    }
    if (unet.outChannels() != latent) {
      throw config.unsupported(
          "out_channels", unet.outChannels(), "the autoencoder's latent_channels, " + latent);
    }
  }
}
