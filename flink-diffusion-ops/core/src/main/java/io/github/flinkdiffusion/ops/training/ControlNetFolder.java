/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.ControlNetConfig;
import io.github.flinkdiffusion.ops.network.ControlledUNet;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.flink.annotation.Internal;

/**
 * A model folder with a ControlNet that is trained for it. The ControlNet has the config that
 * diffusers' {@code ControlNetModel.from_unet} gives it.
 */
@Internal
public final class ControlNetFolder {
  private static final String PIPELINE = "StableDiffusionPipeline";
  private static final String CLASS = "_class_name";

  /** Keys of a UNet's config that a ControlNet's has, too, with the same defaults. */
  private static final List<String> SHARED =
      List.of(
          "_diffusers_version",
          "act_fn",
          "attention_head_dim",
          "block_out_channels",
          "cross_attention_dim",
          "down_block_types",
          "downsample_padding",
          "flip_sin_to_cos",
          "freq_shift",
          "in_channels",
          "layers_per_block",
          "mid_block_scale_factor",
          "mid_block_type",
          "norm_eps",
          "norm_num_groups",
          "only_cross_attention",
          "resnet_time_scale_shift",
          "transformer_layers_per_block",
          "upcast_attention",
          "use_linear_projection");

  /** Keys that change a way down, or what it is given, and that a ControlNet's config lacks. */
  private static final Map<String, String> ONLY =
      Map.ofEntries(
          Map.entry("addition_embed_type", "null"),
          Map.entry("attention_type", "default"),
          Map.entry("center_input_sample", "false"),
          Map.entry("class_embed_type", "null"),
          Map.entry("conv_in_kernel", "3"),
          Map.entry("cross_attention_norm", "null"),
          Map.entry("dual_cross_attention", "false"),
          Map.entry("encoder_hid_dim", "null"),
          Map.entry("encoder_hid_dim_type", "null"),
          Map.entry("mid_block_only_cross_attention", "null"),
          Map.entry("num_attention_heads", "null"),
          Map.entry("num_class_embeds", "null"),
          Map.entry("resnet_out_scale_factor", "1.0"),
          Map.entry("resnet_skip_time_act", "false"),
          Map.entry("time_cond_proj_dim", "null"),
          Map.entry("time_embedding_act_fn", "null"),
          Map.entry("time_embedding_dim", "null"),
          Map.entry("time_embedding_type", "positional"),
          Map.entry("timestep_post_act", "null"));

  /** Keys that may be a list in a UNet's config, and not in a ControlNet's. */
  private static final List<String> NUMBERS = List.of("layers_per_block", "cross_attention_dim");

  private final ModelFolder base;
  private final List<Integer> embedding;
  private final UNet2DConditionConfig unet;
  private final ControlNetConfig network;

  /**
   * @param base Stable Diffusion 1 or 2, without a ControlNet
   * @param embedding {@code conditioning_embedding_out_channels}: channels of the convolutions that
   *     see the control image; each after the first halves it
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for another model, or for
   *     numbers that do not make an image as small as a latent
   */
  public ControlNetFolder(ModelFolder base, List<Integer> embedding) {
    this.base = base;
    this.embedding = List.copyOf(embedding);
    String pipeline = base.config().string(CLASS);
    if (!pipeline.equals(PIPELINE)) {
      throw base.config().unsupported(CLASS, pipeline, PIPELINE);
    }
    Config given = base.component(Denoiser.UNET).config();
    ONLY.forEach(
        (key, supported) -> {
          JsonNode value = given.node().path(key);
          if (given.has(key) && !value.isNull() && !isSame(value, supported)) {
            throw given.unsupported(key, value, supported);
          }
        });
    for (String key : NUMBERS) {
      if (given.has(key) && !given.node().get(key).isNumber()) {
        throw given.unsupported(key, given.node().get(key), "one number for all blocks");
      }
    }
    this.unet = UNet2DConditionConfig.from(given);
    AutoencoderKLConfig vae = AutoencoderKLConfig.from(base.component("vae").config());
    if (unet.inChannels() != vae.latentChannels()) {
      throw given.unsupported("in_channels", unet.inChannels(), vae.latentChannels() + "");
    }
    Config config = Config.of("The ControlNet's config", config(new ObjectMapper()));
    this.network = ControlNetConfig.from(config);
    if (network.scaleFactor() != vae.scaleFactor()) {
      throw config.unsupported(
          "conditioning_embedding_out_channels",
          embedding,
          "%d numbers, since a latent is a %dth of an image along each side"
              .formatted(Integer.numberOfTrailingZeros(vae.scaleFactor()) + 1, vae.scaleFactor()));
    }
  }

  private static boolean isSame(JsonNode value, String supported) {
    return value.asText().equals(supported)
        || value.isNumber() && Double.toString(value.asDouble()).equals(supported);
  }

  /** The UNet and the ControlNet. */
  public ControlledUNet networks() {
    return new ControlledUNet(unet, List.of(network), List.of(), 0);
  }

  /** Pixels of the control image, and of the image, along a side of one pixel of a latent. */
  public int scaleFactor() {
    return network.scaleFactor();
  }

  /**
   * Writes the model with the ControlNet, as {@code StableDiffusionControlNetPipeline}. The
   * ControlNet's own folder is {@code controlnet} in it.
   *
   * @param trained by the names of {@link Denoiser#ofControl}
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException if a file cannot be read or
   *     written
   */
  public void write(Path out, List<NamedWeight> trained) {
    new TrainedFolder(base, out)
        .edited(Denoiser.CONTROLNET + "/config.json", before -> config(new ObjectMapper()))
        .edited("model_index.json", ControlNetFolder::index)
        .write(trained, Map.of(Denoiser.CONTROLNET, Denoiser.CONTROLNET + "."), DType.F32);
  }

  private ObjectNode config(ObjectMapper json) {
    ObjectNode config = json.createObjectNode().put(CLASS, "ControlNetModel");
    JsonNode given = base.component(Denoiser.UNET).config().node();
    SHARED.stream().filter(given::has).forEach(key -> config.set(key, given.get(key)));
    config.put("conditioning_channels", 3).put("controlnet_conditioning_channel_order", "rgb");
    embedding.forEach(config.putArray("conditioning_embedding_out_channels")::add);
    return config;
  }

  private static ObjectNode index(ObjectNode index) {
    index.put(CLASS, "StableDiffusionControlNetPipeline");
    index.putArray(Denoiser.CONTROLNET).add("diffusers").add("ControlNetModel");
    return index;
  }
}
