/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

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
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The shape of an embedded text-to-image model, which is small and trained from nothing, and how
 * its folder is written. Models differ in the size of their pictures, in their UNet and in their
 * words.
 *
 * @param name of the model, for messages
 * @param side pixels of a side
 * @param textSize of a token's vector
 * @param unet what its UNet's config has besides what all have
 */
public record SmallStableDiffusion(String name, int side, int textSize, Map<String, Object> unet) {
  public static final int LATENT_CHANNELS = 4;

  /** Tokens of a prompt, start and end included ({@code model_max_length}). */
  public static final int TOKENS = 32;

  private static final List<Integer> VAE_CHANNELS = List.of(32, 64, 96);
  private static final int VAE_GROUPS = 32;
  private static final int TEXT_LAYERS = 2;
  private static final int HEADS = 4;
  private static final String VERSION = "0.42.0";
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Pixels of a latent's side: in a third halving, small things would be lost. */
  public int latentSide() {
    return side / 4;
  }

  public AutoencoderKLConfig autoencoder() {
    return AutoencoderKLConfig.from(config("autoencoder", autoencoderJson(1)));
  }

  public UNet2DConditionConfig denoiser() {
    return UNet2DConditionConfig.from(config("UNet", unetJson()));
  }

  public ClipTextConfig textEncoder(int vocabulary) {
    return ClipTextConfig.from(config("text encoder", textEncoderJson(vocabulary)));
  }

  /** The noise levels that are trained at. */
  public TrainingLevels levels() {
    return TrainingLevels.of(
        SchedulerConfig.fromJson(JSON.valueToTree(schedulerJson()), name + "'s scheduler"));
  }

  private Config config(String component, Map<String, Object> json) {
    return Config.of(name + "'s " + component, JSON.valueToTree(json));
  }

  /**
   * DDPM's own schedule: it ends at nearly pure noise, so that a plain background's color is
   * learned, too.
   */
  public Map<String, Object> schedulerJson() {
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

  public Map<String, Object> unetJson() {
    Map<String, Object> json = component("UNet2DConditionModel");
    json.put("act_fn", "silu");
    json.put("attention_head_dim", HEADS);
    json.put("cross_attention_dim", textSize);
    json.put("in_channels", LATENT_CHANNELS);
    json.put("layers_per_block", 1);
    json.put("mid_block_type", "UNetMidBlock2DCrossAttn");
    json.put("out_channels", LATENT_CHANNELS);
    json.put("sample_size", latentSide());
    json.put("use_linear_projection", true);
    json.putAll(unet);
    return json;
  }

  public Map<String, Object> textEncoderJson(int vocabulary) {
    Map<String, Object> json = new TreeMap<>();
    json.put("architectures", List.of("CLIPTextModel"));
    json.put("hidden_act", "quick_gelu");
    json.put("hidden_size", textSize);
    json.put("intermediate_size", 4 * textSize);
    json.put("layer_norm_eps", 1e-5);
    json.put("max_position_embeddings", TOKENS);
    json.put("model_type", "clip_text_model");
    json.put("num_attention_heads", HEADS);
    json.put("num_hidden_layers", TEXT_LAYERS);
    json.put("projection_dim", textSize);
    json.put("vocab_size", vocabulary);
    return json;
  }

  public Map<String, Object> autoencoderJson(double scalingFactor) {
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
    json.put("sample_size", side);
    json.put("scaling_factor", scalingFactor);
    json.put("up_block_types", Collections.nCopies(VAE_CHANNELS.size(), "UpDecoderBlock2D"));
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
    Map<String, Object> json = new TreeMap<>();
    json.put("_class_name", className);
    json.put("_diffusers_version", VERSION);
    return json;
  }

  /**
   * Writes everything but weights and their configs.
   *
   * @param vocabulary the file {@code vocabulary.json}
   * @param words that become one token each
   * @param maxMerges more than the words need
   */
  public void writeIndex(
      Path folder, Map<String, Object> vocabulary, Collection<String> words, int maxMerges)
      throws IOException {
    json(folder.resolve("model_index.json"), indexJson());
    json(folder.resolve("scheduler/scheduler_config.json"), schedulerJson());
    json(folder.resolve("vocabulary.json"), vocabulary);
    Path tokenizer = Files.createDirectories(tokenizer(folder));
    new BpeTrainer().addAll(words).train(maxMerges).write(tokenizer, TOKENS);
  }

  public static Path tokenizer(Path folder) {
    return folder.resolve("tokenizer");
  }

  /** Writes the autoencoder, weights in float16. */
  public void writeAutoencoder(Path folder, Path weights, double scalingFactor) throws IOException {
    json(folder.resolve("vae/config.json"), autoencoderJson(scalingFactor));
    try (TensorStore vae = Safetensors.open(weights)) {
      SafetensorsWriter.write(
          folder.resolve("vae/diffusion_pytorch_model.safetensors"),
          TensorViews.withFloatsAs(vae, DType.F16),
          Map.of("format", "pt"));
    }
  }

  /** Writes the text encoder and the denoising network, weights in float16. */
  public void writeDenoiser(Path folder, Graph objective, List<NamedWeight> trained, int vocabulary)
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
