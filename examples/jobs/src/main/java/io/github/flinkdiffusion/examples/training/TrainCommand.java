/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.examples.Scratch;
import io.github.flinkdiffusion.examples.training.data.ExampleSet;
import io.github.flinkdiffusion.examples.training.data.Fetch;
import io.github.flinkdiffusion.examples.training.data.TrainingDataException;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.AnswerRasters;
import io.github.flinkdiffusion.ops.imaging.Ensemble;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.training.Training;
import io.github.flinkdiffusion.ops.training.TrainingFolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Trains what a recipe says, and goes on where it was stopped or killed. */
@Command(
    name = "train",
    mixinStandardHelpOptions = true,
    subcommands = CurateCommand.class,
    description =
        "Trains what a recipe says (docs/TRAIN.md): a bar of progress, sample grids, a loss curve,"
            + " TensorBoard files. Goes on where it was stopped.")
public final class TrainCommand implements Callable<Integer> {
  /** Of this process: a signal to end stops its training. */
  private static final TrainingStop STOP = new TrainingStop();

  @Option(names = "--config", description = "The recipe, a YAML file.")
  private Path config;

  public static void main(String[] args) {
    Scratch.deleteAtEnd(STOP::request);
    System.exit(new CommandLine(new TrainCommand()).execute(args));
  }

  @Spec private CommandSpec command;

  @Override
  public Integer call() throws Exception {
    if (config == null) {
      throw new ParameterException(
          command.commandLine(), "Missing required option: '--config=<config>'");
    }
    try {
      run(Recipe.read(config));
      return 0;
    } catch (FlinkDiffusionException | TrainingDataException | IllegalArgumentException e) {
      System.err.println("error: " + e.getMessage());
      return 1;
    }
  }

  static void run(Recipe recipe) throws IOException {
    Files.createDirectories(recipe.out());
    for (Fetch fetch : recipe.fetches()) {
      System.out.printf("%s (%s)%n", fetch.url(), fetch.license());
      fetch.run();
    }
    ExampleSet examples = recipe.examples();
    System.out.printf("%,d examples%n", examples.size());
    Engine engine = Engines.standard().trainer();
    DeviceSpec device = engine.device(recipe.device());
    try (TrainingStop.Running running = STOP.running();
        TrainingTask task = task(recipe, examples)) {
      Graph graph = task.graph();
      Program program = Program.of("objective", graph, Precision.FLOAT32, task.weights());
      try (TrainableNetwork network =
          engine.train(program, device, recipe.arithmetic(), task::trains)) {
        new Run(recipe, task, network, running).run();
      }
    } finally {
      if (examples instanceof AutoCloseable open) {
        close(open);
      }
    }
  }

  private static void close(AutoCloseable open) throws IOException {
    try {
      open.close();
    } catch (IOException | RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new IOException(e);
    }
  }

  static TrainingTask task(Recipe recipe, ExampleSet examples) {
    TrainingTask task = plainTask(recipe, examples);
    return recipe.weightNormalization() ? new NormalizedTask(task) : task;
  }

  private static TrainingTask plainTask(Recipe recipe, ExampleSet examples) {
    return switch (recipe.task()) {
      case UNCONDITIONAL, SEGMENTATION, UPSCALE -> new PixelTask(recipe, examples);
      case TEXT, LORA, INVERSION -> new TextTask(recipe, examples);
      case CONTROLNET -> new ControlNetTask(recipe, examples);
      case AUTOENCODER -> new AutoencoderTask(recipe, examples);
      case DISTILL -> new DistillTask(recipe, examples);
    };
  }

  /** A training with all that shows how it goes. */
  private record Run(
      Recipe recipe, TrainingTask task, TrainableNetwork network, TrainingStop.Running running) {
    void run() throws IOException {
      Path out = recipe.out();
      Training training =
          Training.open(network, recipe.settings(), new TrainingFolder(out.resolve("state")), task);
      int steps = recipe.settings().rate().totalSteps();
      if (training.step() > 0) {
        System.out.printf("goes on after step %,d%n", training.step());
      }
      int samples = recipe.batch() * recipe.settings().accumulation();
      String name = recipe.task().name().toLowerCase(Locale.ROOT);
      boolean whole;
      TrainingSeconds seconds = new TrainingSeconds(out, System::nanoTime);
      try (LossLog losses = new LossLog(out, training.step());
          EventFile events = new EventFile(out.resolve("tensorboard"), Clock.systemUTC());
          TrainingBar bar = new TrainingBar(name, training.step(), steps, samples)) {
        Training.Listener listener =
            new Training.Listener() {
              @Override
              public void stepped(Training.Step step) {
                bar.stepped(step);
                losses.add(step);
                record(events, step);
              }

              @Override
              public void saved(int step) {
                try {
                  losses.save();
                  seconds.save();
                  Run.this.saved(step, events);
                  if (step == steps) {
                    task.finished();
                  }
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              }

              @Override
              public void returned(int from, int to, String reason) {
                bar.returned(from, to, reason);
                losses.backTo(to);
              }
            };
        whole = training.run(listener, running::isAskedToStop);
        if (!whole) {
          losses.save();
          seconds.save();
        }
      }
      if (!whole) {
        System.out.printf(
            "stopped after step %,d of %,d, which is saved; run the command again to go on%n",
            training.step(), steps);
      }
    }

    private static void record(EventFile events, Training.Step step) {
      try {
        events.scalar("loss", step.number(), step.loss());
        events.scalar("gradient_norm", step.number(), (float) step.gradientNorm());
        events.scalar("learning_rate", step.number(), (float) step.rate());
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    private void saved(int step, EventFile events) throws IOException {
      task.export(network.averagedWeights());
      boolean last = step == recipe.settings().rate().totalSteps();
      List<GenerationSpec> samples = task.samples();
      if (samples.isEmpty() || !last && step % recipe.samples().every() != 0) {
        return;
      }
      Raster sheet = draw(samples).title("step " + step).render();
      byte[] png = Images.write(sheet, "image/png");
      Path folder = Files.createDirectories(recipe.out().resolve("samples"));
      Files.write(folder.resolve("step-%06d.png".formatted(step)), png);
      events.image("samples", step, sheet.width(), sheet.height(), png);
    }

    private ContactSheet draw(List<GenerationSpec> samples) {
      PipelineSettings settings =
          PipelineSettings.on(Engines.standard().trainer().device(recipe.device()))
              .withLoras(task.loras());
      ContactSheet sheet = ContactSheet.columns((int) Math.ceil(Math.sqrt(samples.size())));
      try (DiffusionPipeline pipeline = Pipelines.open(task.model(), settings)) {
        for (GenerationSpec sample : samples) {
          GenerationRequest request = pipeline.model().prepare(sample);
          List<Trajectory> alone = pipeline.start(List.of(request));
          while (!alone.get(0).done()) {
            pipeline.step(alone);
          }
          Raster drawn = pipeline.finish(alone).get(0).image();
          ResultMeaning meaning = pipeline.model().result(request.arguments());
          // Channels of classes are no colors.
          sheet =
              sheet.add(
                  meaning.classes().isPresent()
                      ? AnswerRasters.picture(
                          Ensemble.answer(List.of(drawn), meaning).mean(), meaning)
                      : drawn,
                  sample.id());
        }
      }
      return sheet;
    }
  }
}
