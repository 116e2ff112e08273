/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * What limits of {@code minimum_certainty} would do to mini-brain-mask's answers to pictures as it
 * was trained on, drawn anew: how many slices of a head would keep a mask, and how many pictures
 * without a brain would have none. The limit is chosen by these, so that it owes nothing to what
 * {@link MiniBrainEvaluation} measures on.
 */
@Command(
    name = "mini-brain-certainty",
    mixinStandardHelpOptions = true,
    description = "Shows what limits of minimum_certainty do to pictures as in training.")
public final class MiniBrainCertainty implements Callable<Integer> {
  /** Not the training's, so that its draws are others. */
  private static final long SEED = 5;

  /** Share of the picture's pixels from which a brain is large, so that it should be found. */
  private static final double LARGE = 0.02;

  private static final double OTHER_HEAD_SHARE = 0.4;

  private static final List<Double> LIMITS =
      List.of(0.0, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98);

  @Option(
      names = "--templates",
      required = true,
      description = "usr/share/mricron/templates of the unpacked Debian package mricron-data.")
  private Path templates;

  @Option(
      names = "--non-heads",
      required = true,
      description = "Folder of the pictures without a brain that were learned from.")
  private Path nonHeads;

  @Option(
      names = "--icons",
      required = true,
      description = "icons.json of the npm package @iconify-json/... that was learned from.")
  private Path icons;

  @Option(
      names = "--pictures",
      defaultValue = "400",
      description = "Pictures to draw (default: ${DEFAULT-VALUE}).")
  private int pictures;

  @Option(
      names = "--model",
      defaultValue = "examples/models/mini-brain-mask",
      description = "Model folder, whose own limit is left out (default: ${DEFAULT-VALUE}).")
  private Path model;

  @Mixin private EnsembleOptions asked;

  public static void main(String[] args) {
    System.exit(new CommandLine(new MiniBrainCertainty()).execute(args));
  }

  /** Pictures of a kind, and of how many each limit leaves a mask. */
  private static final class Kind {
    private final String name;
    private final int[] marked = new int[LIMITS.size()];
    private int pictures;

    Kind(String name) {
      this.name = name;
    }

    void add(List<Raster> samples) {
      pictures++;
      for (int i = 0; i < marked.length; i++) {
        marked[i] += marks(samples, LIMITS.get(i)) ? 1 : 0;
      }
    }
  }

  @Override
  public Integer call() throws Exception {
    SliceExamples examples =
        new SliceExamples(
            HeadScan.open(templates),
            new NonHeads(
                List.copyOf(NonHeads.read(nonHeads).values()),
                List.copyOf(NonHeads.drawings(icons, MiniBrainTraining.DRAWINGS).values())),
            0.5,
            OTHER_HEAD_SHARE);
    Kind large = new Kind("a brain of %.0f %% of the picture or more".formatted(100 * LARGE));
    Kind small = new Kind("less of a brain");
    Kind none = new Kind("no brain");
    int plane = MiniBrainModel.HEIGHT * MiniBrainModel.WIDTH;
    float[] target = new float[plane];
    float[] slice = new float[plane];
    Random random = new Random(SEED);
    try (DiffusionPipeline pipeline =
        Pipelines.open(withoutLimit(), PipelineSettings.on(Engines.standard().device("auto")))) {
      for (int i = 0; i < pictures; i++) {
        examples.draw(random, target, 0, slice, 0);
        long inside = IntStream.range(0, plane).filter(p -> target[p] > 0).count();
        Kind kind = inside == 0 ? none : inside < LARGE * plane ? small : large;
        kind.add(Ensemble.of(pipeline, shown(slice), asked.samples(), asked.steps()).samples());
      }
    }
    System.out.println("| what is shown | pictures | a mask, by limit: " + joined(LIMITS) + " |");
    for (Kind kind : List.of(large, small, none)) {
      System.out.printf(
          "| %s | %d | %s |%n",
          kind.name, kind.pictures, joined(IntStream.of(kind.marked).boxed().toList()));
    }
    return 0;
  }

  private static String joined(List<?> values) {
    return String.join(" | ", values.stream().map(String::valueOf).toList());
  }

  private static Raster shown(float[] signed) {
    float[] values = new float[signed.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = signed[i] / 2 + 0.5f;
    }
    return new Raster(1, MiniBrainModel.HEIGHT, MiniBrainModel.WIDTH, values);
  }

  /** Whether the mean of samples has a pixel inside, if those count as 0 that are not sure. */
  private static boolean marks(List<Raster> samples, double limit) {
    List<Raster> sure = new ArrayList<>();
    for (Raster sample : samples) {
      for (float value : sample.data()) {
        if (value >= limit) {
          sure.add(sample);
          break;
        }
      }
    }
    for (int i = 0; i < samples.get(0).data().length; i++) {
      double sum = 0;
      for (Raster sample : sure) {
        sum += sample.data()[i];
      }
      if (sum >= 0.5 * samples.size()) {
        return true;
      }
    }
    return false;
  }

  /** The same weights with a model_index.json that has no limit. */
  private Path withoutLimit() throws IOException {
    Path copy = Files.createTempDirectory("mini-brain-mask");
    ModelFiles files = MiniBrainModel.files();
    files.index().remove(MiniBrainModel.MINIMUM_CERTAINTY);
    files.write(copy);
    Files.copy(ModelFiles.weights(model), ModelFiles.weights(copy));
    return copy;
  }
}
