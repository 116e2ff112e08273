package io.github.flinkdiffusion.examples.scenes;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.training.AutoencoderObjective;
import io.github.flinkdiffusion.ops.training.LearningRate;
import io.github.flinkdiffusion.ops.training.TrainedWeights;
import io.github.flinkdiffusion.ops.training.TrainingCheckpoint;
import io.github.flinkdiffusion.ops.training.WeightInitializer;
import io.github.flinkdiffusion.ops.weights.DType;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Trains the autoencoder of the second embedded model, and goes on where it was stopped: batch and
 * noise of a step follow from the step's number, everything else is in {@code
 * autoencoder-state.safetensors}.
 */
@Command(
    name = "scene-autoencoder-training",
    mixinStandardHelpOptions = true,
    description = "Trains the autoencoder of the second embedded text-to-image model. Resumable.")
public final class SceneAutoencoderTraining implements Callable<Integer> {
  private static final long SEED = 20261129;
  private static final int SAVE_EVERY = 250;

  /** Pixels that icons are drawn with; larger than any of them in a scene. */
  private static final int DRAWING_SIDE = SceneModel.SIDE;

  @Option(
      names = "--icons",
      required = true,
      split = ",",
      description =
          "icons.json of npm packages @iconify-json/..., one for each style, separated by commas."
              + " Icons that all of them have are used.")
  private List<Path> icons;

  @Option(
      names = "--work",
      required = true,
      description = "Folder of the training's state and of the weights so far.")
  private Path work;

  @Option(
      names = "--steps",
      defaultValue = "40000",
      description = "Steps in all (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--batch",
      defaultValue = "8",
      description = "Images in a step (default: ${DEFAULT-VALUE}).")
  private int batch;

  @Option(
      names = "--arithmetic",
      defaultValue = "MIXED_BFLOAT16",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private Arithmetic arithmetic;

  public static void main(String[] args) {
    System.exit(new CommandLine(new SceneAutoencoderTraining()).execute(args));
  }

  @Override
  public Integer call() throws Exception {
    Files.createDirectories(work);
    RandomScenes scenes = new RandomScenes(drawings(), SceneModel.SIDE, SEED);
    Graph graph =
        new AutoencoderObjective(
                new AutoencoderKL(SceneModel.autoencoder()), SceneModel.LATENT_CHANNELS, 1e-6)
            .graph();
    System.out.printf("autoencoder: %,d parameters%n", graph.parameterCount());
    Program program =
        Program.of("autoencoder", graph, Precision.FLOAT32, new WeightInitializer(SEED));
    Path state = work.resolve("autoencoder-state.safetensors");
    LearningRate rate = new LearningRate(1e-3, 500, steps);
    try (TrainableNetwork network =
        Engines.standard().trainer().train(program, DeviceSpec.CPU, arithmetic)) {
      int first = 0;
      if (Files.exists(state)) {
        TrainableNetwork.TrainingState saved = TrainingCheckpoint.read(state);
        network.restore(saved);
        first = saved.updates();
        System.out.printf("goes on after step %,d%n", first);
      }
      try (ProgressBar bar = bar(first)) {
        double smooth = Double.NaN;
        for (int step = first; step < steps; step++) {
          float loss = step(network, scenes, rate.at(step), step);
          if (!Float.isFinite(loss)) {
            throw new IllegalStateException(
                "The loss is %s at step %d; the state of step %d is in %s."
                    .formatted(loss, step, step / SAVE_EVERY * SAVE_EVERY, state));
          }
          smooth = Double.isNaN(smooth) ? loss : 0.99 * smooth + 0.01 * loss;
          bar.setExtraMessage("loss %.4f".formatted(smooth));
          bar.step();
          if ((step + 1) % SAVE_EVERY == 0 || step + 1 == steps) {
            TrainingCheckpoint.write(state, network.state());
            TrainedWeights.write(
                work.resolve("autoencoder.safetensors"),
                graph,
                network.averagedWeights(),
                "",
                DType.F32);
          }
        }
      }
    }
    return 0;
  }

  private float step(TrainableNetwork network, RandomScenes scenes, double rate, int step) {
    int side = SceneModel.SIDE;
    int size = 3 * side * side;
    float[] images = new float[batch * size];
    for (int i = 0; i < batch; i++) {
      System.arraycopy(scenes.scene((long) step * batch + i), 0, images, i * size, size);
    }
    Random random = new Random(SEED + step);
    int latent = SceneModel.LATENT_SIDE;
    float[] noise = new float[batch * SceneModel.LATENT_CHANNELS * latent * latent];
    for (int i = 0; i < noise.length; i++) {
      noise[i] = (float) random.nextGaussian();
    }
    return network.step(
        TrainableNetwork.AdamW.DEFAULT,
        rate,
        Math.min(0.999, (1.0 + step) / (10.0 + step)),
        new HostTensor.Floats(images, batch, 3, side, side),
        new HostTensor.Floats(noise, batch, SceneModel.LATENT_CHANNELS, latent, latent));
  }

  private List<BufferedImage> drawings() throws IOException {
    List<IconSet> sets = new ArrayList<>();
    for (Path file : icons) {
      sets.add(IconSet.open(file));
    }
    Set<String> names = new TreeSet<>(sets.get(0).names());
    sets.forEach(set -> names.retainAll(set.names()));
    List<BufferedImage> drawings = new ArrayList<>();
    for (IconSet set : sets) {
      for (String name : names) {
        drawings.add(set.draw(name, DRAWING_SIDE));
      }
    }
    System.out.printf("%,d icons in %d styles%n", names.size(), sets.size());
    return drawings;
  }

  private ProgressBar bar(int first) {
    return new ProgressBarBuilder()
        .setTaskName("autoencoder")
        .setInitialMax(steps)
        .startsFrom(first, java.time.Duration.ZERO)
        .setUpdateIntervalMillis(5000)
        .build();
  }
}
