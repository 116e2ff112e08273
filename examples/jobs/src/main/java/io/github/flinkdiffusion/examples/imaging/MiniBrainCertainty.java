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
 * How sure mini-brain-mask's answers are of their surest pixel, of pictures as it was trained on,
 * drawn anew: with a brain and without, by how much of the picture an answer marks. {@code
 * minimum_certainty} is chosen by these, so that it owes nothing to what {@link
 * MiniBrainEvaluation} measures on.
 */
@Command(
    name = "mini-brain-certainty",
    mixinStandardHelpOptions = true,
    description =
        "Shows how sure answers to pictures as in training are, to choose minimum_certainty.")
public final class MiniBrainCertainty implements Callable<Integer> {
  /** Not the training's, so that its draws are others. */
  private static final long SEED = 5;

  private static final double OTHER_HEAD_SHARE = 0.4;

  /** Of the picture's pixels, that an answer marks; each kind is up to the next. */
  private static final List<Double> SHARES = List.of(0.0, 0.02, 0.05, 0.1, 0.2, 0.4);

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

  /** Surest pixels of answers that mark about as much of their picture. */
  private static final class Marked {
    private final List<Float> heads = new ArrayList<>();
    private final List<Float> others = new ArrayList<>();

    private static String quantiles(List<Float> values) {
      if (values.isEmpty()) {
        return "0 | | |";
      }
      List<Float> sorted = values.stream().sorted().toList();
      int last = sorted.size() - 1;
      return "%d | %.3f to %.3f | %.3f, %.3f |"
          .formatted(
              sorted.size(),
              sorted.get(0),
              sorted.get(last),
              sorted.get(last / 20),
              sorted.get(last - last / 20));
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
    List<Marked> kinds = SHARES.stream().map(share -> new Marked()).toList();
    int plane = MiniBrainModel.HEIGHT * MiniBrainModel.WIDTH;
    float[] target = new float[plane];
    float[] slice = new float[plane];
    Random random = new Random(SEED);
    try (DiffusionPipeline pipeline =
        Pipelines.open(withoutLimit(), PipelineSettings.on(Engines.standard().device("auto")))) {
      for (int i = 0; i < pictures; i++) {
        examples.draw(random, target, 0, slice, 0);
        boolean head = IntStream.range(0, plane).anyMatch(p -> target[p] > 0);
        float surest = 0;
        int marked = 0;
        for (float value :
            Ensemble.of(pipeline, shown(slice), asked.samples(), asked.steps()).mean().data()) {
          surest = Math.max(surest, value);
          marked += value >= 0.5f ? 1 : 0;
        }
        if (marked > 0) {
          Marked kind = kinds.get(kindOf((double) marked / plane));
          (head ? kind.heads : kind.others).add(surest);
        }
      }
    }
    System.out.println(
        "| marked, from | heads | surest pixel | 5 %, 95 % | no brain | surest pixel"
            + " | 5 %, 95 % |");
    System.out.println("| --- | --- | --- | --- | --- | --- | --- |");
    for (int i = 0; i < kinds.size(); i++) {
      Marked kind = kinds.get(i);
      System.out.printf(
          "| %.0f %% | %s %s%n",
          100 * SHARES.get(i), Marked.quantiles(kind.heads), Marked.quantiles(kind.others));
    }
    return 0;
  }

  private static int kindOf(double share) {
    int kind = SHARES.size() - 1;
    while (share < SHARES.get(kind)) {
      kind--;
    }
    return kind;
  }

  private static Raster shown(float[] signed) {
    float[] values = new float[signed.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = signed[i] / 2 + 0.5f;
    }
    return new Raster(1, MiniBrainModel.HEIGHT, MiniBrainModel.WIDTH, values);
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
