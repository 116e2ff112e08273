package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.training.ConcatenationObjective;
import io.github.flinkdiffusion.ops.training.LearningRate;
import io.github.flinkdiffusion.ops.training.TrainedWeights;
import io.github.flinkdiffusion.ops.training.WarmStart;
import io.github.flinkdiffusion.ops.training.WeightInitializer;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.random.RandomGenerator;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import picocli.CommandLine.Option;

/**
 * Trains a concatenation-conditioned network until its steps are done. The averaged weights are
 * written every few minutes, in float32 to the work folder and in float16 to the model folder, so a
 * run that was broken off goes on from them; AdamW's moments begin anew then.
 */
final class DenoiserTraining {
  private static final long SEED = 20_261_122;
  private static final int SAVE_EVERY = 250;
  private static final int REPORT_EVERY = 50;

  /** Steps after a start over which the rate rises, since AdamW knows no gradients yet. */
  private static final int SETTLING_STEPS = 50;

  @Option(
      names = "--work",
      required = true,
      description = "Folder for what a broken-off run goes on from.")
  private Path work;

  @Option(names = "--steps", description = "Training steps (default: ${DEFAULT-VALUE}).")
  private int steps = 6000;

  @Option(
      names = "--first-look",
      description =
          "Steps, of those, that see pure noise only (default: ${DEFAULT-VALUE}): the network"
              + " learns what the condition alone says before it learns to use the sample.")
  private int firstLook = 400;

  @Option(names = "--batch", description = "Pictures in a step (default: ${DEFAULT-VALUE}).")
  private int batch = 8;

  @Option(names = "--peak-rate", description = "Highest learning rate (default: ${DEFAULT-VALUE}).")
  private double peakRate = 1e-3;

  @Option(
      names = "--arithmetic",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private Arithmetic arithmetic = Arithmetic.MIXED_BFLOAT16;

  @Option(names = "--device", description = "auto, cpu or gpu:N (default: ${DEFAULT-VALUE}).")
  private String device = "auto";

  /** Where training examples come from. */
  interface Examples {
    /** Channels of what is to be predicted. */
    int targetChannels();

    /** Channels that it is conditioned on. */
    int conditionChannels();

    int height();

    int width();

    /** Writes one example, both parts channels x height x width, from an offset on. */
    void draw(
        RandomGenerator random, float[] target, int targetAt, float[] condition, int conditionAt);
  }

  void run(UNet2D unet, SamplingPlan levels, Examples examples, Path weightsFile)
      throws IOException {
    Files.createDirectories(work);
    Path resume = work.resolve("weights.safetensors");
    Path progress = work.resolve("step");
    Graph graph = new ConcatenationObjective(unet).graph();
    boolean resumes = Files.exists(resume);
    int first = resumes ? Integer.parseInt(Files.readString(progress).strip()) : 0;
    ParameterSource fresh = quiet(new WeightInitializer(SEED), examples);
    System.out.printf("%,d parameters, from step %d%n", graph.parameterCount(), first);
    LearningRate rate = new LearningRate(peakRate, steps / 40, steps);
    Random random = new Random(SEED + first);
    try (TrainableNetwork network = resumes ? resumed(graph, resume, fresh) : train(graph, fresh);
        ProgressBar bar = bar(first)) {
      double average = 0;
      double weight = 0;
      for (int step = first; step < steps; step++) {
        float loss =
            network.step(
                TrainableNetwork.AdamW.DEFAULT,
                rate.at(step) * Math.min(1, (step - first + 1.0) / SETTLING_STEPS),
                averageDecay(step - first),
                batch(levels, step < firstLook ? 1 : levels.calls(), examples, random));
        if (!Float.isFinite(loss)) {
          throw new IllegalStateException(
              "The loss is %s at step %d; lower --peak-rate or use --arithmetic AS_STORED."
                  .formatted(loss, step));
        }
        average = 0.99 * average + 0.01 * loss;
        weight = 0.99 * weight + 0.01;
        bar.step();
        if ((step + 1) % REPORT_EVERY == 0) {
          bar.setExtraMessage("loss %.4f".formatted(average / weight));
        }
        if ((step + 1) % SAVE_EVERY == 0 || step + 1 == steps) {
          System.out.printf("step %d, loss %.5f%n", step + 1, average / weight);
          var weights = network.averagedWeights();
          TrainedWeights.write(resume, graph, weights, "", DType.F32);
          Files.writeString(progress, Integer.toString(step + 1));
          TrainedWeights.write(weightsFile, graph, weights, "", DType.F16);
        }
      }
    }
  }

  private TrainableNetwork resumed(Graph graph, Path weights, ParameterSource fresh) {
    try (TensorStore earlier = Safetensors.open(weights)) {
      return train(graph, new WarmStart(Map.of("", earlier), fresh));
    }
  }

  private TrainableNetwork train(Graph graph, ParameterSource weights) {
    Engine engine = Engines.standard().trainer();
    return engine.train(
        Program.of("objective", graph, Precision.FLOAT32, weights),
        engine.device(device),
        arithmetic);
  }

  /**
   * A network that begins by predicting zero and by not seeing the sample: at most noise levels the
   * sample is a distraction, and unlearning it takes longer than learning to use it.
   */
  private static ParameterSource quiet(ParameterSource weights, Examples examples) {
    return (name, shape, out) -> {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      weights.write(name, shape, bytes);
      byte[] values = bytes.toByteArray();
      if (name.startsWith("conv_out.")) {
        Arrays.fill(values, (byte) 0);
      } else if (name.equals("conv_in.weight")) {
        int output = values.length / (int) shape[0];
        int input = output / (int) shape[1];
        for (int i = 0; i < shape[0]; i++) {
          int from = i * output;
          Arrays.fill(values, from, from + examples.targetChannels() * input, (byte) 0);
        }
      }
      out.write(values);
    };
  }

  /**
   * @param noisiest how many timesteps are drawn from, beginning with the last
   */
  private HostTensor[] batch(SamplingPlan levels, int noisiest, Examples examples, Random random) {
    int plane = examples.height() * examples.width();
    int targetSize = examples.targetChannels() * plane;
    int conditionSize = examples.conditionChannels() * plane;
    float[] clean = new float[batch * targetSize];
    float[] condition = new float[batch * conditionSize];
    float[] noise = new float[clean.length];
    float[] alpha = new float[batch];
    float[] sigma = new float[batch];
    float[] timestep = new float[batch];
    for (int i = 0; i < batch; i++) {
      examples.draw(random, clean, i * targetSize, condition, i * conditionSize);
      int call = random.nextInt(noisiest);
      timestep[i] = (float) levels.timestep(call);
      alpha[i] = (float) levels.signalLevel(call);
      sigma[i] = (float) levels.noiseLevel(call);
    }
    for (int i = 0; i < noise.length; i++) {
      noise[i] = (float) random.nextGaussian();
    }
    int height = examples.height();
    int width = examples.width();
    return new HostTensor[] {
      new HostTensor.Floats(clean, batch, examples.targetChannels(), height, width),
      new HostTensor.Floats(noise, batch, examples.targetChannels(), height, width),
      new HostTensor.Floats(alpha, batch, 1, 1, 1),
      new HostTensor.Floats(sigma, batch, 1, 1, 1),
      new HostTensor.Floats(timestep, batch),
      new HostTensor.Floats(condition, batch, examples.conditionChannels(), height, width)
    };
  }

  /** Short at first, so that the average forgets the random beginning; then long. */
  private static double averageDecay(int step) {
    return Math.min(0.998, (1.0 + step) / (10.0 + step));
  }

  private ProgressBar bar(int first) {
    return new ProgressBarBuilder()
        .setTaskName("unet")
        .setInitialMax(steps)
        .startsFrom(first, java.time.Duration.ZERO)
        .setUpdateIntervalMillis(10_000)
        .build();
  }
}
