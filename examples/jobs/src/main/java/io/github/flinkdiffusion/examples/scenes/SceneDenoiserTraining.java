/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import io.github.flinkdiffusion.examples.training.SmallStableDiffusion;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Optimizer;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.training.AverageDecay;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.training.Denoiser;
import io.github.flinkdiffusion.ops.training.DiffusionInputs;
import io.github.flinkdiffusion.ops.training.DiffusionObjective;
import io.github.flinkdiffusion.ops.training.HuberThreshold;
import io.github.flinkdiffusion.ops.training.LearningRate;
import io.github.flinkdiffusion.ops.training.LossSpikes;
import io.github.flinkdiffusion.ops.training.LossWeight;
import io.github.flinkdiffusion.ops.training.PredictionTarget;
import io.github.flinkdiffusion.ops.training.TrainingSettings;
import io.github.flinkdiffusion.ops.training.WeightInitializer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.random.RandomGenerator;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Trains text encoder and denoising network of the second embedded model, and goes on where it was
 * stopped. Needs the weights of {@link SceneAutoencoderTraining}.
 */
@Command(
    name = "scene-denoiser-training",
    mixinStandardHelpOptions = true,
    description =
        "Trains text encoder and UNet of the second embedded text-to-image model. Resumable.")
public final class SceneDenoiserTraining implements Callable<Integer> {
  private static final long SEED = 20_261_131;
  private static final double CLIP_NORM = 1;
  private static final double AVERAGE = 0.999;

  /** Rises are not looked for: the loss is larger once other levels and other scenes come. */
  private static final LossSpikes SPIKES = new LossSpikes(100, 10, 5, 0);

  /**
   * The first steps see scenes of one thing in the middle alone: what a name means is learned
   * sooner where little else differs.
   */
  private static final int STEPS_OF_ONE_THING = 8000;

  /**
   * The first steps see hardly anything but noise, so that what a name looks like is all that there
   * is to learn. A regression from names to drawings needs some thousands of steps of as many
   * scenes; where half of a step's levels show the thing, so much longer.
   */
  private static final int STEPS_OF_MUCH_NOISE = 6000;

  private static final double MUCH_NOISE = 0.8;

  /** The first steps have prompts that say all of a scene, for the same reason. */
  private static final int STEPS_OF_WHOLE_PROMPTS = 8000;

  /** Later ones have some: of a prompt that leaves much open, little is learned of a thing. */
  private static final double SHARE_OF_WHOLE_PROMPTS = 0.35;

  /**
   * So many of the scenes of a large thing are passed over once there are others, so that small
   * things are seen twice as often: they are the harder ones.
   */
  private static final double PASSED_OVER_OF_LARGE = 0.5;

  /**
   * So many levels are drawn among all, the others among the noisy ones: with little noise, a thing
   * is seen in the input, and the prompt hardly matters.
   */
  private static final double SHARE_OF_ALL_LEVELS = 0.5;

  private static final double NOISY = 0.4;

  /** For classifier-free guidance (Ho & Salimans). */
  private static final double EMPTY_PROMPT_SHARE = 0.1;

  @Mixin private SceneTraining shared;

  @Option(names = "--out", required = true, description = "Model folder to write.")
  private Path out;

  @Option(
      names = "--scenes",
      defaultValue = "40000",
      description = "Scenes to train on (default: ${DEFAULT-VALUE}).")
  private int scenes;

  @Option(
      names = "--steps",
      defaultValue = "45000",
      description = "Steps in all (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--batch",
      defaultValue = "32",
      description = "Scenes in a step (default: ${DEFAULT-VALUE}).")
  private int batch;

  @Option(
      names = "--rate",
      defaultValue = "7e-4",
      description = "Highest learning rate (default: ${DEFAULT-VALUE}).")
  private double rate;

  public static void main(String[] args) {
    System.exit(new CommandLine(new SceneDenoiserTraining()).execute(args));
  }

  @Override
  public Integer call() throws Exception {
    SceneLatents latents = shared.latents(shared.icons(), scenes);
    System.out.printf(
        "%,d scenes of %d nouns, scaling factor %.5f%n",
        latents.count(), SceneVocabulary.nouns().size(), latents.scalingFactor());
    SceneModel.MODEL.writeIndex(
        out, SceneVocabulary.file(), SceneVocabulary.words(), SceneModel.MAX_MERGES);
    Path refined = shared.refinedAutoencoder();
    SceneModel.MODEL.writeAutoencoder(
        out, Files.exists(refined) ? refined : shared.autoencoder(), latents.scalingFactor());
    train(latents, ClipTokenizer.load(SmallStableDiffusion.tokenizer(out)));
    return 0;
  }

  private void train(SceneLatents latents, ClipTokenizer tokenizer) throws Exception {
    DiffusionObjective objective =
        new DiffusionObjective(
            Denoiser.ofText(
                new ClipText(SceneModel.MODEL.textEncoder(tokenizer.vocabularySize())),
                new UNet2DCondition(SceneModel.MODEL.denoiser()),
                SmallStableDiffusion.TOKENS),
            SmallStableDiffusion.LATENT_CHANNELS,
            PredictionTarget.V);
    DiffusionInputs inputs =
        new DiffusionInputs(
            objective, SceneModel.MODEL.levels(), LossWeight.UNIFORM, HuberThreshold.DEFAULT, 0);
    Graph graph = objective.graph();
    System.out.printf("%,d tokens%n", tokenizer.vocabularySize());
    TrainingSettings settings =
        new TrainingSettings(
            Optimizer.AdamW.DEFAULT,
            LearningRate.cosine(rate, Math.min(200, steps / 20), steps),
            new AverageDecay(AVERAGE),
            CLIP_NORM,
            1,
            SPIKES,
            SceneTraining.SAVE_EVERY,
            SEED);
    shared.run(
        "denoiser",
        graph,
        WordVectors.of(
            shared.icons(),
            SceneVocabulary.nouns(),
            SceneModel.MODEL.textSize(),
            tokenizer,
            new WeightInitializer(SEED)),
        settings,
        steps,
        batch,
        position -> batch(inputs, latents, tokenizer, position),
        network ->
            SceneModel.MODEL.writeDenoiser(
                out, graph, network.averagedWeights(), tokenizer.vocabularySize()));
  }

  private HostTensor[] batch(
      DiffusionInputs inputs, SceneLatents latents, ClipTokenizer tokenizer, long position) {
    RandomGenerator random = Batches.random(SEED, position);
    int channels = SmallStableDiffusion.LATENT_CHANNELS;
    int side = SceneModel.LATENT_SIDE;
    int size = channels * side * side;
    float[] clean = new float[batch * size];
    long[] ids = new long[batch * SmallStableDiffusion.TOKENS];
    int[] levels = new int[batch];
    for (int i = 0; i < batch; i++) {
      int scene = scene(position, latents.count(), random);
      latents.copy(scene, clean, i * size);
      double least = leastLevel(position, random);
      int count = inputs.levels().count();
      levels[i] = random.nextInt((int) (least * count), count);
      String prompt =
          random.nextDouble() < EMPTY_PROMPT_SHARE
              ? ""
              : wording(position, SceneVocabulary.training(scene), random);
      int[] encoded = tokenizer.encode(prompt).ids();
      for (int j = 0; j < encoded.length; j++) {
        ids[i * SmallStableDiffusion.TOKENS + j] = encoded[j];
      }
    }
    return inputs.drawnAt(
        random,
        levels,
        new HostTensor.Floats(clean, batch, channels, side, side),
        new HostTensor.Longs(ids, batch, SmallStableDiffusion.TOKENS));
  }

  private static int scene(long position, int count, RandomGenerator random) {
    while (true) {
      int scene = random.nextInt(count);
      if (isSeen(SceneVocabulary.training(scene), position, random)) {
        return scene;
      }
    }
  }

  private static boolean isSeen(Scene scene, long position, RandomGenerator random) {
    boolean single = scene.arrangement() == Arrangement.CENTER;
    if (position < STEPS_OF_ONE_THING) {
      return single;
    }
    boolean large = single && scene.size() == SceneSize.LARGE;
    return !large || random.nextDouble() >= PASSED_OVER_OF_LARGE;
  }

  /** The least noise of an example, as a share of the levels. */
  private static double leastLevel(long position, RandomGenerator random) {
    if (position < STEPS_OF_MUCH_NOISE) {
      return MUCH_NOISE;
    }
    return random.nextDouble() < SHARE_OF_ALL_LEVELS ? 0 : NOISY;
  }

  private static String wording(long position, Scene scene, RandomGenerator random) {
    return position < STEPS_OF_WHOLE_PROMPTS || random.nextDouble() < SHARE_OF_WHOLE_PROMPTS
        ? scene.prompt()
        : scene.phrase(random);
  }
}
