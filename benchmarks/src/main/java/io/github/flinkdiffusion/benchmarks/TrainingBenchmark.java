/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Optimizer;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.scheduler.SchedulerConfig;
import io.github.flinkdiffusion.ops.scheduler.TrainingLevels;
import io.github.flinkdiffusion.ops.training.Batches;
import io.github.flinkdiffusion.ops.training.Denoiser;
import io.github.flinkdiffusion.ops.training.DiffusionInputs;
import io.github.flinkdiffusion.ops.training.DiffusionObjective;
import io.github.flinkdiffusion.ops.training.Gaussians;
import io.github.flinkdiffusion.ops.training.PredictionTarget;
import io.github.flinkdiffusion.ops.training.WeightInitializer;
import io.github.flinkdiffusion.ops.weights.Config;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Steps of a training in this process and in PyTorch, of the same network. */
@Command(
    name = "training",
    mixinStandardHelpOptions = true,
    description = "Training steps of the small models' UNets, beside PyTorch.")
final class TrainingBenchmark extends BenchmarkCommand {
  private static final String OURS = "flink-diffusion";
  private static final String PEER = "PyTorch";
  private static final double GOAL = 0.95;

  /**
   * @param name of an embedded model
   * @param height in pixels
   * @param width in pixels
   */
  private record Case(String name, int height, int width) {}

  private static final List<Case> CASES =
      List.of(new Case("mini-satellite-x4", 64, 64), new Case("mini-brain-mask", 64, 64));

  @Option(
      names = "--batch",
      paramLabel = "N",
      description = "Samples in a step (default: ${DEFAULT-VALUE}).")
  private int batch = 8;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = "Steps in a round (default: ${DEFAULT-VALUE}; 1 with --smoke).")
  private int steps = 4;

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    if (options().smoke()) {
      steps = 1;
      batch = 1;
    }
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "Training: steps of the small models' UNets",
            """
            A step is a batch of %d samples of 64 x 64: noise drawn, loss, gradients, clipping by norm, AdamW and the moving
            average of the weights, in float32. The peer is diffusers' UNet2DModel with torch.optim.AdamW, clip_grad_norm_ and
            EMAModel, on the same libtorch version or a near one.
            """
                .formatted(batch));
    if (options().python().isEmpty()) {
      result.note("PyTorch was not measured: no --python was given.");
      measure(result, null);
      return result;
    }
    try (PythonPeer peer =
        PythonPeer.start(options().python().get(), RunInfo.configuredThreads())) {
      peer.versions().forEach(this::version);
      measure(result, peer);
    }
    return result;
  }

  private void measure(BenchmarkResult.Builder result, PythonPeer peer) throws Exception {
    for (Case each : CASES) {
      Path folder =
          RunOptions.home().resolve("examples/models").resolve(each.name()).resolve("unet");
      UNet2DConfig config = UNet2DConfig.from(Config.read(folder.resolve("config.json")));
      DiffusionInputs inputs = inputs(config);
      Program program =
          Program.of(
              each.name(), inputs.objective().graph(), Precision.FLOAT32, new WeightInitializer(1));
      try (TrainableNetwork network =
          Engines.standard().trainer().train(program, DeviceSpec.CPU, Arithmetic.AS_STORED)) {
        Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
        subjects.put(OURS, () -> rate(Rounds.seconds(() -> train(network, inputs, config, each))));
        String scenario = "%s, batch %d".formatted(each.name(), batch);
        if (peer == null) {
          options()
              .rounds()
              .alternate(scenario, "samples/s", subjects)
              .values()
              .forEach(result::add);
          continue;
        }
        peer.ask("open_training", Map.of("name", each.name(), "folder", folder.toString()));
        Map<String, Object> asked =
            Map.of(
                "name", each.name(),
                "batch", batch,
                "height", each.height(),
                "width", each.width(),
                "steps", steps);
        subjects.put(PEER, () -> rate(peer.seconds("train", asked)));
        compare(
            result, scenario, "samples/s", subjects, "samples/s over PyTorch", Goal.atLeast(GOAL));
        peer.ask("close", Map.of("name", each.name()));
      }
    }
  }

  private double rate(double seconds) {
    return steps * batch / seconds;
  }

  private static DiffusionInputs inputs(UNet2DConfig config) {
    UNet2D unet = new UNet2D(config);
    DiffusionObjective objective =
        new DiffusionObjective(
            Denoiser.concatenated(unet), config.outChannels(), PredictionTarget.EPSILON);
    SchedulerConfig scheduler = new SchedulerConfig("DDPMScheduler", Map.of(), "the benchmark");
    return new DiffusionInputs(objective, TrainingLevels.of(scheduler));
  }

  private void train(
      TrainableNetwork network, DiffusionInputs inputs, UNet2DConfig config, Case size) {
    int conditions = config.inChannels() - config.outChannels();
    for (int step = 0; step < steps; step++) {
      var random = Batches.random(1, step);
      HostTensor[] made =
          inputs.drawn(
              random,
              Gaussians.draw(random, batch, config.outChannels(), size.height(), size.width()),
              Gaussians.draw(random, batch, conditions, size.height(), size.width()));
      network.accumulate(1, made);
      double norm = network.gradientNorm();
      network.update(Optimizer.AdamW.DEFAULT, 1e-4, Math.min(1, 1 / (norm + 1e-6)), 0.999);
    }
  }
}
