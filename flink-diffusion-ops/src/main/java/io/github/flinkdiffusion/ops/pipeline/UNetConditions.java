package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import java.util.List;

/** Checks that a conditioned UNet takes what a task gives it. */
final class UNetConditions {

  /** Keys of a UNet's config that ask for an input beside the text. */
  private static final List<String> BESIDE_TEXT =
      List.of("class_embed_type", "num_class_embeds", "time_cond_proj_dim", "addition_embed_type");

  private UNetConditions() {}

  /**
   * @throws IllegalConfigException when the network wants to know more than a text
   */
  static void textAlone(Config config) {
    for (String key : BESIDE_TEXT) {
      if (config.has(key)) {
        throw config.unsupported(
            key, config.node().get(key), "null in a pipeline that knows the prompt alone");
      }
    }
  }

  /**
   * @throws IllegalConfigException unless the text encoder's states are as large as the network's
   *     context
   */
  static void fits(Config config, UNet2DConditionConfig unet, PromptEncoder prompts) {
    if (unet.crossAttentionDim() != prompts.hiddenSize()) {
      throw config.unsupported(
          "cross_attention_dim",
          unet.crossAttentionDim(),
          "the text encoder's hidden_size, " + prompts.hiddenSize());
    }
  }

  /**
   * @param appended channels beside the latent's
   * @throws IllegalConfigException unless the network takes and gives that many channels
   */
  static void channels(
      Config config, UNet2DConditionConfig unet, Autoencoder autoencoder, int appended) {
    int latent = autoencoder.config().latentChannels();
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
