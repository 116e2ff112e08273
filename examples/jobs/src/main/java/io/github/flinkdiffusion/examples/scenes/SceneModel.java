/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

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
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The shape of the second embedded text-to-image model, and how its folder is written. */
final class SceneModel {
  /** Pixels of a side. */
  static final int SIDE = 96;

  /** The autoencoder halves a side twice: in a third halving, small things are lost. */
  static final int LATENT_SIDE = 24;

  static final int LATENT_CHANNELS = 4;

  /** Tokens of a prompt, start and end included ({@code model_max_length}). */
  static final int TOKENS = 32;

  private static final List<Integer> VAE_CHANNELS = List.of(32, 64, 96);

  /**
   * Few at 24 x 24 pixels, where each costs most, many at 12 x 12, where things get their details.
   */
  private static final List<Integer> UNET_CHANNELS = List.of(48, 128, 192);

  private static final int UNET_HEADS = 4;
  private static final int TEXT_SIZE = 160;
  private static final int TEXT_LAYERS = 2;
  private static final int TEXT_HEADS = 4;
  private static final int VAE_GROUPS = 32;
  private static final int UNET_GROUPS = 16;

  /** More than the words need, so that each becomes one token. */
  private static final int MAX_MERGES = 4000;

  private static final String VERSION = "0.42.0";
  private static final ObjectMapper JSON = new ObjectMapper();

  private SceneModel() {}

  /** Its autoencoder's config, with diffusers' field names. */
  static AutoencoderKLConfig autoencoder() {
    return AutoencoderKLConfig.from(config("autoencoder", autoencoderJson(1)));
  }

  static UNet2DConditionConfig unet() {
    return UNet2DConditionConfig.from(config("unet", unetJson()));
  }

  static ClipTextConfig textEncoder(int vocabulary) {
    return ClipTextConfig.from(config("text encoder", textEncoderJson(vocabulary)));
  }

  /** The noise levels that are trained at. */
  static TrainingLevels levels() {
    return TrainingLevels.of(
        SchedulerConfig.fromJson(JSON.valueToTree(schedulerJson()), "the scenes' scheduler"));
  }

  private static Config config(String component, Map<String, Object> json) {
    return Config.of("the scenes' " + component, JSON.valueToTree(json));
  }

  private static Map<String, Object> autoencoderJson(double scalingFactor) {
    Map<String, Object> json = component("AutoencoderKL");
    json.put("act_fn", "silu");
    json.put("block_out_channels", VAE_CHANNELS);
    json.put("down_block_types", Collections.nCopies(VAE_CHANNELS.size(), "DownEncoderBlock2D"));
    json.put("force_upcast", false);
    json.put("in_channels", 3);
    json.put("latent_channels", LATENT_CHANNELS);
    json.put("layers_per_block", 1);
    json.put("norm_num_groups", VAE_GROUPS);
    json.put("out_channels", 3);
    json.put("sample_size", SIDE);
    json.put("scaling_factor", scalingFactor);
    json.put("up_block_types", Collections.nCopies(VAE_CHANNELS.size(), "UpDecoderBlock2D"));
    return json;
  }

  private static Map<String, Object> unetJson() {
    Map<String, Object> json = component("UNet2DConditionModel");
    json.put("act_fn", "silu");
    // Attention is at 6 x 6 pixels only. What is to be drawn reaches every layer by this pooled
    // text.
    json.put("addition_embed_type", "text");
    json.put("addition_embed_type_num_heads", UNET_HEADS);
    json.put("attention_head_dim", UNET_HEADS);
    json.put("block_out_channels", UNET_CHANNELS);
    json.put("cross_attention_dim", TEXT_SIZE);
    json.put("down_block_types", List.of("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"));
    json.put("in_channels", LATENT_CHANNELS);
    json.put("layers_per_block", 1);
    json.put("mid_block_type", "UNetMidBlock2DCrossAttn");
    json.put("norm_num_groups", UNET_GROUPS);
    json.put("out_channels", LATENT_CHANNELS);
    json.put("resnet_time_scale_shift", "scale_shift");
    json.put("sample_size", LATENT_SIDE);
    json.put("up_block_types", List.of("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"));
    json.put("use_linear_projection", true);
    return json;
  }

  private static Map<String, Object> textEncoderJson(int vocabulary) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("architectures", List.of("CLIPTextModel"));
    json.put("hidden_act", "quick_gelu");
    json.put("hidden_size", TEXT_SIZE);
    json.put("intermediate_size", 4 * TEXT_SIZE);
    json.put("layer_norm_eps", 1e-5);
    json.put("max_position_embeddings", TOKENS);
    json.put("model_type", "clip_text_model");
    json.put("num_attention_heads", TEXT_HEADS);
    json.put("num_hidden_layers", TEXT_LAYERS);
    json.put("projection_dim", TEXT_SIZE);
    json.put("vocab_size", vocabulary);
    return json;
  }

  /** DDPM's schedule: it ends at nearly pure noise, so that a plain background is learned, too. */
  private static Map<String, Object> schedulerJson() {
    Map<String, Object> json = component("DDIMScheduler");
    json.put("beta_end", 0.02);
    json.put("beta_schedule", "linear");
    json.put("beta_start", 1e-4);
    json.put("clip_sample", false);
    json.put("num_train_timesteps", 1000);
    json.put("prediction_type", "v_prediction");
    json.put("set_alpha_to_one", true);
    json.put("timestep_spacing", "trailing");
    return json;
  }

  private static Map<String, Object> indexJson() {
    Map<String, Object> json = component("StableDiffusionPipeline");
    json.put("feature_extractor", new String[2]);
    json.put("requires_safety_checker", false);
    json.put("safety_checker", new String[2]);
    json.put("scheduler", List.of("diffusers", "DDIMScheduler"));
    json.put("text_encoder", List.of("transformers", "CLIPTextModel"));
    json.put("tokenizer", List.of("transformers", "CLIPTokenizer"));
    json.put("unet", List.of("diffusers", "UNet2DConditionModel"));
    json.put("vae", List.of("diffusers", "AutoencoderKL"));
    return json;
  }

  private static Map<String, Object> component(String className) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("_class_name", className);
    json.put("_diffusers_version", VERSION);
    return json;
  }

  /** Writes everything but weights and their configs. */
  static void writeIndex(Path folder) throws IOException {
    json(folder.resolve("model_index.json"), indexJson());
    json(folder.resolve("scheduler/scheduler_config.json"), schedulerJson());
    Files.writeString(folder.resolve("vocabulary.json"), SceneVocabulary.json());
    Path tokenizer = tokenizer(folder);
    Files.createDirectories(tokenizer);
    new BpeTrainer().addAll(SceneVocabulary.words()).train(MAX_MERGES).write(tokenizer, TOKENS);
  }

  static Path tokenizer(Path folder) {
    return folder.resolve("tokenizer");
  }

  /** Writes the autoencoder, weights in float16. */
  static void writeAutoencoder(Path folder, Path weights, double scalingFactor) throws IOException {
    json(folder.resolve("vae/config.json"), autoencoderJson(scalingFactor));
    try (TensorStore vae = Safetensors.open(weights)) {
      SafetensorsWriter.write(
          folder.resolve("vae/diffusion_pytorch_model.safetensors"),
          TensorViews.withFloatsAs(vae, DType.F16),
          Map.of("format", "pt"));
    }
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

  private static void json(Path file, Map<String, Object> content) throws IOException {
    Files.createDirectories(file.getParent());
    Files.writeString(
        file, JSON.writerWithDefaultPrettyPrinter().writeValueAsString(content) + "\n");
  }
}
