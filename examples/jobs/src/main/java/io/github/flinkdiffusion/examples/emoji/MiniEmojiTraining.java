/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import io.github.flinkdiffusion.examples.training.SmallStableDiffusion;
import io.github.flinkdiffusion.examples.training.TrainingBar;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.training.AutoencoderObjective;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.training.DecoderObjective;
import io.github.flinkdiffusion.ops.training.Denoiser;
import io.github.flinkdiffusion.ops.training.DiffusionInputs;
import io.github.flinkdiffusion.ops.training.DiffusionObjective;
import io.github.flinkdiffusion.ops.training.Gaussians;
import io.github.flinkdiffusion.ops.training.LearningRate;
import io.github.flinkdiffusion.ops.training.PredictionTarget;
import io.github.flinkdiffusion.ops.training.ReconstructionLoss;
import io.github.flinkdiffusion.ops.training.TrainedWeights;
import io.github.flinkdiffusion.ops.training.Training;
import io.github.flinkdiffusion.ops.training.TrainingFolder;
import io.github.flinkdiffusion.ops.training.TrainingSettings;
import io.github.flinkdiffusion.ops.training.WarmStart;
import io.github.flinkdiffusion.ops.training.WeightInitializer;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.random.RandomGenerator;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Trains the embedded model {@code mini-emoji} from Noto emoji pictures: first the autoencoder,
 * then, on its latents, the text encoder and the denoising network together. Writes a model folder
 * in diffusers' layout.
 *
 * <p>A stage that is done is not trained again, and one that was broken off goes on from its last
 * saved state.
 */
@Command(
    name = "mini-emoji-training",
    mixinStandardHelpOptions = true,
    description =
        "Trains examples/models/mini-emoji; see its model card for the source of the images.")
public final class MiniEmojiTraining implements Callable<Integer> {
  private static final long SEED = 20_261_122;

  /**
   * Share of prompts replaced by the empty one, so that classifier-free guidance has its
   * unconditional half (Ho and Salimans).
   */
  private static final double EMPTY_PROMPT_SHARE = 0.1;

  /** Deviation of the noise on latents of unit variance, while the decoder is refined. */
  private static final double LATENT_JITTER = 0.05;

  private static final int SAVE_EVERY = 500;
  private static final String DENOISER_DONE = "unet-done";

  @Option(
      names = "--images",
      required = true,
      description = "Folder img/google/64 of the unpacked npm package emoji-datasource-google.")
  private Path images;

  @Option(names = "--work", required = true, description = "Folder for intermediate weights.")
  private Path work;

  @Option(
      names = "--out",
      defaultValue = "examples/models/mini-emoji",
      description = "Model folder to write (default: ${DEFAULT-VALUE}).")
  private Path out;

  @Option(
      names = "--vae-steps",
      defaultValue = "5000",
      description = "Steps of the autoencoder (default: ${DEFAULT-VALUE}).")
  private int vaeSteps;

  @Option(
      names = "--vae-batch",
      defaultValue = "8",
      description = "Images in a step of the autoencoder (default: ${DEFAULT-VALUE}).")
  private int vaeBatch;

  @Option(
      names = "--decoder-steps",
      defaultValue = "4000",
      description = "Steps in which the decoder alone is refined (default: ${DEFAULT-VALUE}).")
  private int decoderSteps;

  @Option(
      names = "--steps",
      defaultValue = "10000",
      description = "Steps of the denoising network (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--batch",
      defaultValue = "32",
      description = "Images in a step of the denoising network (default: ${DEFAULT-VALUE}).")
  private int batch;

  @Option(
      names = "--warm-start",
      description =
          "Model folder to continue from: its text encoder and UNet are used where shapes are the"
              + " same.")
  private Path warmStart;

  @Option(
      names = "--arithmetic",
      defaultValue = "MIXED_BFLOAT16",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private Arithmetic arithmetic;

  @Option(
      names = "--device",
      defaultValue = "auto",
      description = "auto, cpu or gpu:N (default: ${DEFAULT-VALUE}).")
  private String device;

  public static void main(String[] args) {
    System.exit(new CommandLine(new MiniEmojiTraining()).execute(args));
  }

  @Override
  public Integer call() throws Exception {
    Files.createDirectories(work);
    DeviceSpec where = Engines.standard().device(device);
    EmojiImages pictures = EmojiImages.open(images);
    List<EmojiScene> scenes = EmojiVocabulary.trainingScenes();
    List<float[]> signed = scenes.stream().map(scene -> toSigned(scene.render(pictures))).toList();
    Path vaeWeights = work.resolve("vae.safetensors");
    if (!Files.exists(vaeWeights)) {
      trainAutoencoder(where, signed, vaeWeights);
    }
    Latents latents = encode(where, signed, vaeWeights);
    System.out.printf("%d latents, scaling factor %.5f%n", scenes.size(), latents.scalingFactor());
    Path refined = work.resolve("vae-refined.safetensors");
    if (!Files.exists(refined)) {
      refineDecoder(where, signed, latents, vaeWeights, refined);
    }
    MiniEmojiModel.MODEL.writeIndex(
        out, EmojiVocabulary.file(), EmojiVocabulary.words(), MiniEmojiModel.MAX_MERGES);
    MiniEmojiModel.MODEL.writeAutoencoder(out, refined, latents.scalingFactor());
    if (!Files.exists(work.resolve(DENOISER_DONE))) {
      trainDenoiser(
          where, scenes, latents, ClipTokenizer.load(SmallStableDiffusion.tokenizer(out)));
    }
    return 0;
  }

  private void trainAutoencoder(DeviceSpec where, List<float[]> pictures, Path target)
      throws Exception {
    AutoencoderKL autoencoder = new AutoencoderKL(MiniEmojiModel.MODEL.autoencoder());
    Graph graph =
        new AutoencoderObjective(
                autoencoder, SmallStableDiffusion.LATENT_CHANNELS, ReconstructionLoss.DEFAULT)
            .graph();
    int side = MiniEmojiModel.SIDE;
    int latentSide = MiniEmojiModel.LATENT_SIDE;
    int size = 3 * side * side;
    Batches batches =
        position -> {
          RandomGenerator random = Batches.random(SEED, position);
          float[] input = new float[vaeBatch * size];
          for (int i = 0; i < vaeBatch; i++) {
            float[] picture = pictures.get(random.nextInt(pictures.size()));
            System.arraycopy(picture, 0, input, i * size, size);
          }
          return new HostTensor[] {
            new HostTensor.Floats(input, vaeBatch, 3, side, side),
            Gaussians.draw(
                random, vaeBatch, SmallStableDiffusion.LATENT_CHANNELS, latentSide, latentSide),
            new HostTensor.Floats(new float[] {1e-6f}, 1)
          };
        };
    try (TrainableNetwork network = trainable(graph, where, new WeightInitializer(SEED))) {
      train(
          "autoencoder",
          vaeBatch,
          network,
          LearningRate.cosine(1e-3, 200, vaeSteps),
          batches,
          step -> {
            if (step == vaeSteps) {
              TrainedWeights.write(target, graph, network.averagedWeights(), "", DType.F32);
            }
          });
    }
  }

  /**
   * Means of the encoder's distribution for each scene, scaled to unit variance as the scaling
   * factor of a VAE config is.
   */
  private Latents encode(DeviceSpec where, List<float[]> pictures, Path vaeWeights)
      throws Exception {
    int side = MiniEmojiModel.SIDE;
    int size =
        SmallStableDiffusion.LATENT_CHANNELS
            * MiniEmojiModel.LATENT_SIDE
            * MiniEmojiModel.LATENT_SIDE;
    Graph graph = new AutoencoderKL(MiniEmojiModel.MODEL.autoencoder()).graph();
    float[][] values = new float[pictures.size()][];
    double squares = 0;
    try (TensorStore weights = Safetensors.open(vaeWeights);
        Network network =
            Engines.standard()
                .trainer()
                .load(
                    Program.of("vae", graph, Precision.FLOAT32, TrainedWeights.source(weights)),
                    where)) {
      for (int i = 0; i < values.length; i++) {
        float[] moments =
            network
                .call(
                    AutoencoderKL.ENCODE, new HostTensor.Floats(pictures.get(i), 1, 3, side, side))
                .data();
        values[i] = java.util.Arrays.copyOf(moments, size);
        for (float value : values[i]) {
          squares += (double) value * value;
        }
      }
    }
    double scale = 1 / Math.sqrt(squares / ((double) values.length * size));
    for (float[] latent : values) {
      for (int i = 0; i < size; i++) {
        latent[i] *= (float) scale;
      }
    }
    return new Latents(values, scale);
  }

  /** Latents a little off, as a denoising network leaves them, to sharp pictures. */
  private void refineDecoder(
      DeviceSpec where, List<float[]> pictures, Latents latents, Path vaeWeights, Path target)
      throws Exception {
    Graph graph =
        new DecoderObjective(
                new AutoencoderKL(MiniEmojiModel.MODEL.autoencoder()), ReconstructionLoss.DEFAULT)
            .graph();
    int side = MiniEmojiModel.SIDE;
    int latentSide = MiniEmojiModel.LATENT_SIDE;
    int size = SmallStableDiffusion.LATENT_CHANNELS * latentSide * latentSide;
    Batches batches =
        position -> {
          RandomGenerator random = Batches.random(SEED + 2, position);
          float[] input = new float[vaeBatch * size];
          float[] output = new float[vaeBatch * 3 * side * side];
          for (int i = 0; i < vaeBatch; i++) {
            int scene = random.nextInt(pictures.size());
            float[] latent = latents.values()[scene];
            for (int j = 0; j < size; j++) {
              input[i * size + j] =
                  (float)
                      ((latent[j] + LATENT_JITTER * random.nextGaussian())
                          / latents.scalingFactor());
            }
            System.arraycopy(pictures.get(scene), 0, output, i * 3 * side * side, 3 * side * side);
          }
          return new HostTensor[] {
            new HostTensor.Floats(
                input, vaeBatch, SmallStableDiffusion.LATENT_CHANNELS, latentSide, latentSide),
            new HostTensor.Floats(output, vaeBatch, 3, side, side)
          };
        };
    try (TensorStore original = Safetensors.open(vaeWeights);
        TrainableNetwork network = trainable(graph, where, TrainedWeights.source(original))) {
      train(
          "decoder",
          vaeBatch,
          network,
          LearningRate.cosine(1e-3, 100, decoderSteps),
          batches,
          step -> {
            if (step == decoderSteps) {
              TrainedWeights.writeRefined(
                  target, original, graph, network.averagedWeights(), DType.F32);
            }
          });
    }
  }

  private void trainDenoiser(
      DeviceSpec where, List<EmojiScene> scenes, Latents latents, ClipTokenizer tokenizer)
      throws Exception {
    int tokens = SmallStableDiffusion.TOKENS;
    ClipText text = new ClipText(MiniEmojiModel.MODEL.textEncoder(tokenizer.vocabularySize()));
    UNet2DCondition unet = new UNet2DCondition(MiniEmojiModel.MODEL.denoiser());
    int channels = SmallStableDiffusion.LATENT_CHANNELS;
    int side = MiniEmojiModel.LATENT_SIDE;
    int size = channels * side * side;
    DiffusionObjective objective =
        new DiffusionObjective(Denoiser.ofText(text, unet, tokens), channels, PredictionTarget.V);
    DiffusionInputs inputs = new DiffusionInputs(objective, MiniEmojiModel.MODEL.levels());
    Graph graph = objective.graph();
    System.out.printf("text encoder and unet: %,d parameters%n", graph.parameterCount());
    Batches batches =
        position -> {
          RandomGenerator random = Batches.random(SEED + 1, position);
          float[] clean = new float[batch * size];
          long[] ids = new long[batch * tokens];
          for (int i = 0; i < batch; i++) {
            int scene = random.nextInt(scenes.size());
            System.arraycopy(latents.values()[scene], 0, clean, i * size, size);
            List<String> phrasings = scenes.get(scene).phrasings();
            String prompt =
                random.nextDouble() < EMPTY_PROMPT_SHARE
                    ? ""
                    : phrasings.get(random.nextInt(phrasings.size()));
            int[] encoded = tokenizer.encode(prompt).ids();
            for (int j = 0; j < tokens; j++) {
              ids[i * tokens + j] = encoded[j];
            }
          }
          return inputs.drawn(
              random,
              new HostTensor.Floats(clean, batch, channels, side, side),
              new HostTensor.Longs(ids, batch, tokens));
        };
    try (TrainableNetwork network = trainable(graph, where)) {
      train(
          "unet",
          batch,
          network,
          LearningRate.cosine(5e-4, steps / 20, steps),
          batches,
          step ->
              MiniEmojiModel.MODEL.writeDenoiser(
                  out, graph, network.averagedWeights(), tokenizer.vocabularySize()));
    }
    Files.createFile(work.resolve(DENOISER_DONE));
  }

  /** A stage's training, which goes on where it was broken off. */
  private void train(
      String stage,
      int samples,
      TrainableNetwork network,
      LearningRate rate,
      Batches batches,
      TrainingBar.Save save) {
    Training training =
        Training.open(
            network,
            new TrainingSettings(rate, SAVE_EVERY, SEED),
            new TrainingFolder(work.resolve(stage + "-state")),
            batches);
    try (TrainingBar bar = new TrainingBar(stage, training.step(), rate.totalSteps(), samples)) {
      training.run(bar.saving(save));
    }
  }

  private TrainableNetwork trainable(Graph graph, DeviceSpec where) throws Exception {
    WeightInitializer fresh = new WeightInitializer(SEED);
    if (warmStart == null) {
      return trainable(graph, where, fresh);
    }
    ModelFolder earlier = ModelFolder.open(warmStart);
    try (TensorStore text = earlier.component(Denoiser.TEXT_ENCODER).open();
        TensorStore unet = earlier.component(Denoiser.UNET).open()) {
      Map<String, TensorStore> stores =
          Map.of(Denoiser.TEXT_ENCODER + ".", text, Denoiser.UNET + ".", unet);
      return trainable(graph, where, new WarmStart(stores, fresh));
    }
  }

  private TrainableNetwork trainable(Graph graph, DeviceSpec where, ParameterSource weights)
      throws Exception {
    return Engines.standard()
        .trainer()
        .train(Program.of("objective", graph, Precision.FLOAT32, weights), where, arithmetic);
  }

  /** A picture in -1..1, as autoencoders take it. */
  private static float[] toSigned(Raster picture) {
    float[] signed = picture.data().clone();
    for (int i = 0; i < signed.length; i++) {
      signed[i] = 2 * signed[i] - 1;
    }
    return signed;
  }

  private record Latents(float[][] values, double scalingFactor) {}
}
