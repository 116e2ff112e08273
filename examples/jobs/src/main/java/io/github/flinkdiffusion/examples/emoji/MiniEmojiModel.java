package io.github.flinkdiffusion.examples.emoji;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork.NamedWeight;
import io.github.flinkdiffusion.ops.network.Activation;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.tokenizer.BpeTrainer;
import io.github.flinkdiffusion.ops.torchscript.Graph;
import io.github.flinkdiffusion.ops.training.DenoisingObjective;
import io.github.flinkdiffusion.ops.training.LinearNoiseSchedule;
import io.github.flinkdiffusion.ops.training.TrainedWeights;
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

  private MiniEmojiModel() {}

  static AutoencoderKLConfig autoencoder(double scalingFactor) {
    return new AutoencoderKLConfig(
        3,
        3,
        VAE_CHANNELS,
        1,
        LATENT_CHANNELS,
        GROUPS,
        Activation.SILU,
        true,
        true,
        true,
        scalingFactor,
        0,
        false);
  }

  static UNet2DConditionConfig unet() {
    return new UNet2DConditionConfig(
        LATENT_CHANNELS,
        LATENT_CHANNELS,
        UNET_CHANNELS,
        List.of(false, true, true),
        List.of(true, true, false),
        true,
        List.of(1, 1, 1),
        List.of(UNET_HEADS, UNET_HEADS, UNET_HEADS),
        TEXT_SIZE,
        List.of(1, 1, 1),
        List.of(false, false, false),
        true,
        false,
        GROUPS,
        1e-5,
        Activation.SILU,
        true,
        0);
  }

  static ClipTextConfig textEncoder(int vocabulary) {
    return new ClipTextConfig(
        vocabulary,
        TEXT_SIZE,
        4 * TEXT_SIZE,
        TEXT_LAYERS,
        TEXT_HEADS,
        TOKENS,
        Activation.QUICK_GELU,
        1e-5);
  }

  /**
   * DDPM's own schedule: it ends at nearly pure noise, so that a plain background's colour is
   * learned, too.
   */
  static LinearNoiseSchedule noiseSchedule() {
    return new LinearNoiseSchedule(TRAIN_TIMESTEPS, BETA_START, BETA_END);
  }

  static void writeTokenizer(Path folder) throws IOException {
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
    json(
        folder.resolve("scheduler/scheduler_config.json"),
        map(
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
            "trailing"));
  }

  /** Writes the text encoder and the denoising network, weights in float16. */
  static void writeDenoiser(Path folder, Graph objective, List<NamedWeight> trained, int vocabulary)
      throws IOException {
    json(
        folder.resolve("unet/config.json"),
        map(
            "_class_name", "UNet2DConditionModel",
            "_diffusers_version", VERSION,
            "act_fn", "silu",
            "attention_head_dim", UNET_HEADS,
            "block_out_channels", UNET_CHANNELS,
            "cross_attention_dim", TEXT_SIZE,
            "down_block_types",
                List.of("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "in_channels", LATENT_CHANNELS,
            "layers_per_block", 1,
            "mid_block_type", "UNetMidBlock2DCrossAttn",
            "norm_num_groups", GROUPS,
            "out_channels", LATENT_CHANNELS,
            "sample_size", LATENT_SIDE,
            "up_block_types", List.of("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "use_linear_projection", true));
    json(
        folder.resolve("text_encoder/config.json"),
        map(
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
            "vocab_size", vocabulary));
    TrainedWeights.write(
        folder.resolve("text_encoder/model.safetensors"),
        objective,
        trained,
        DenoisingObjective.TEXT_ENCODER + ".",
        DType.F16);
    TrainedWeights.write(
        folder.resolve("unet/diffusion_pytorch_model.safetensors"),
        objective,
        trained,
        DenoisingObjective.UNET + ".",
        DType.F16);
  }

  /** Writes the autoencoder, weights in float16. */
  static void writeAutoencoder(Path folder, Path vaeWeights, double scalingFactor)
      throws IOException {
    json(
        folder.resolve("vae/config.json"),
        map(
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
            List.of("UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D")));
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
        file,
        new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsString(content) + "\n");
  }
}
