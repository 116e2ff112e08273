/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.scheduler.SchedulerConfig;
import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import io.github.flinkdiffusion.ops.tokenizer.BpeTrainer;
import io.github.flinkdiffusion.ops.training.Denoiser;
import io.github.flinkdiffusion.ops.training.TrainedWeights;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The shape of the mini-emoji model: its networks' sizes, and how its folder is written. */
final class MiniEmojiModel {
  /** Pixels of a side. */
  static final int SIDE = 64;

  static final int LATENT_CHANNELS = 4;

  /** The autoencoder halves a side twice. */
  static final int LATENT_SIDE = 16;

  /** Tokens of a prompt, start and end included ({@code model_max_length}). */
  static final int TOKENS = 32;

  private static final List<Integer> VAE_CHANNELS = List.of(32, 64, 96);
  private static final int GROUPS = 32;
  private static final List<Integer> UNET_CHANNELS = List.of(96, 160, 128);
  private static final int UNET_HEADS = 4;
  private static final int TEXT_SIZE = 128;
  private static final int TEXT_LAYERS = 2;
  private static final int TEXT_HEADS = 4;
  private static final int TRAIN_TIMESTEPS = 1000;
  private static final double BETA_START = 1e-4;
  private static final double BETA_END = 0.02;

  /** More than the words need, so that each becomes one token. */
  private static final int MAX_MERGES = 1000;

  private static final String VERSION = "0.42.0";

  private static final ObjectMapper JSON = new ObjectMapper();

  private MiniEmojiModel() {}

  static AutoencoderKLConfig autoencoder(double scalingFactor) {
    return AutoencoderKLConfig.from(config("vae", autoencoderJson(scalingFactor)));
  }

  static UNet2DConditionConfig unet() {
    return UNet2DConditionConfig.from(config("unet", unetJson()));
  }

  static ClipTextConfig textEncoder(int vocabulary) {
    return ClipTextConfig.from(config("text_encoder", textEncoderJson(vocabulary)));
  }

  /** The noise levels that are trained at. */
  static TrainingLevels levels() {
    return TrainingLevels.of(
        SchedulerConfig.fromJson(JSON.valueToTree(schedulerJson()), "mini-emoji's scheduler"));
  }

  private static Config config(String component, Map<String, Object> json) {
    return Config.of("mini-emoji's " + component, JSON.valueToTree(json));
  }

  /**
   * DDPM's own schedule: it ends at nearly pure noise, so that a plain background's colour is
   * learned, too.
   */
  static Map<String, Object> schedulerJson() {
    return map(
        "_class_name",
        "DDIMScheduler",
        "_diffusers_version",
        VERSION,
        "beta_end",
        BETA_END,
        "beta_schedule",
        "linear",
        "beta_start",
        BETA_START,
        "clip_sample",
        false,
        "num_train_timesteps",
        TRAIN_TIMESTEPS,
        "prediction_type",
        "v_prediction",
        "set_alpha_to_one",
        true,
        "timestep_spacing",
        "trailing");
  }

  static Map<String, Object> unetJson() {
    return map(
        "_class_name", "UNet2DConditionModel",
        "_diffusers_version", VERSION,
        "act_fn", "silu",
        "attention_head_dim", UNET_HEADS,
        "block_out_channels", UNET_CHANNELS,
        "cross_attention_dim", TEXT_SIZE,
        "down_block_types", List.of("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "in_channels", LATENT_CHANNELS,
        "layers_per_block", 1,
        "mid_block_type", "UNetMidBlock2DCrossAttn",
        "norm_num_groups", GROUPS,
        "out_channels", LATENT_CHANNELS,
        "sample_size", LATENT_SIDE,
        "up_block_types", List.of("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "use_linear_projection", true);
  }

  static Map<String, Object> textEncoderJson(int vocabulary) {
    return map(
        "architectures", List.of("CLIPTextModel"),
        "hidden_act", "quick_gelu",
        "hidden_size", TEXT_SIZE,
        "intermediate_size", 4 * TEXT_SIZE,
        "layer_norm_eps", 1e-5,
        "max_position_embeddings", TOKENS,
        "model_type", "clip_text_model",
        "num_attention_heads", TEXT_HEADS,
        "num_hidden_layers", TEXT_LAYERS,
        "projection_dim", TEXT_SIZE,
        "vocab_size", vocabulary);
  }

  static Map<String, Object> autoencoderJson(double scalingFactor) {
    return map(
        "_class_name",
        "AutoencoderKL",
        "_diffusers_version",
        VERSION,
        "act_fn",
        "silu",
        "block_out_channels",
        VAE_CHANNELS,
        "down_block_types",
        List.of("DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"),
        "force_upcast",
        false,
        "in_channels",
        3,
        "latent_channels",
        LATENT_CHANNELS,
        "layers_per_block",
        1,
        "norm_num_groups",
        GROUPS,
        "out_channels",
        3,
        "sample_size",
        SIDE,
        "scaling_factor",
        scalingFactor,
        "up_block_types",
        List.of("UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"));
  }

  static void writeTokenizer(Path folder) throws IOException {
    Files.writeString(folder.resolve("vocabulary.json"), EmojiVocabulary.json());
    Files.createDirectories(folder);
    new BpeTrainer().addAll(EmojiVocabulary.words()).train(MAX_MERGES).write(folder, TOKENS);
  }

  /** Writes the folder's index and the scheduler's config. */
  static void writeIndex(Path folder) throws IOException {
    json(
        folder.resolve("model_index.json"),
        map(
            "_class_name",
            "StableDiffusionPipeline",
            "_diffusers_version",
            VERSION,
            "feature_extractor",
            new String[2],
            "requires_safety_checker",
            false,
            "safety_checker",
            new String[2],
            "scheduler",
            List.of("diffusers", "DDIMScheduler"),
            "text_encoder",
            List.of("transformers", "CLIPTextModel"),
            "tokenizer",
            List.of("transformers", "CLIPTokenizer"),
            "unet",
            List.of("diffusers", "UNet2DConditionModel"),
            "vae",
            List.of("diffusers", "AutoencoderKL")));
    json(folder.resolve("scheduler/scheduler_config.json"), schedulerJson());
  }

  /** Writes the text encoder and the denoising network, weights in float16. */
  static void writeDenoiser(Path folder, Graph objective, List<NamedWeight> trained, int vocabulary)
      throws IOException {
    json(folder.resolve("unet/config.json"), unetJson());
    json(folder.resolve("text_encoder/config.json"), textEncoderJson(vocabulary));
    TrainedWeights.write(
        folder.resolve("text_encoder/model.safetensors"),
        objective,
        trained,
        Denoiser.TEXT_ENCODER + ".",
        DType.F16);
    TrainedWeights.write(
        folder.resolve("unet/diffusion_pytorch_model.safetensors"),
        objective,
        trained,
        Denoiser.UNET + ".",
        DType.F16);
  }

  /** Writes the autoencoder, weights in float16. */
  static void writeAutoencoder(Path folder, Path vaeWeights, double scalingFactor)
      throws IOException {
    json(folder.resolve("vae/config.json"), autoencoderJson(scalingFactor));
    try (TensorStore vae = Safetensors.open(vaeWeights)) {
      SafetensorsWriter.write(
          folder.resolve("vae/diffusion_pytorch_model.safetensors"),
          TensorViews.withFloatsAs(vae, DType.F16),
          Map.of("format", "pt"));
    }
  }

  private static Map<String, Object> map(Object... pairs) {
    Map<String, Object> map = new LinkedHashMap<>();
    for (int i = 0; i < pairs.length; i += 2) {
      map.put((String) pairs[i], pairs[i + 1]);
    }
    return map;
  }

  private static void json(Path file, Map<String, Object> content) throws IOException {
    Files.createDirectories(file.getParent());
    Files.writeString(
        file, JSON.writerWithDefaultPrettyPrinter().writeValueAsString(content) + "\n");
  }
}
