/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.quality.Overlap;
import io.github.flinkdiffusion.ops.quality.RankCorrelation;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Measures mini-brain-mask on the slices that were held out, as they are and shown otherwise: how
 * far the mean of an ensemble, cut at a half, agrees with the true mask, and whether the ensemble's
 * spread tells where its mean is wrong. Everything is counted at the scan's own resolution.
 */
@Command(
    name = "mini-brain-evaluation",
    mixinStandardHelpOptions = true,
    description = "Measures mini-brain-mask on slices that it was not trained on.")
public final class MiniBrainEvaluation implements Callable<Integer> {
  private static final int SHEET_COLUMNS = 5;

  /** Of the held-out slices, each so-manieth is on the sheet. */
  private static final int SHEET_EVERY = 4;

  /** Slices that are example inputs, all held out. */
  private static final List<Integer> EXAMPLES = List.of(24, 60, 96);

  private static final long NOISE_SEED = 7;

  /** A way to show a slice. */
  private record Condition(String name, SliceVariation variation) {}

  private static final List<Condition> CONDITIONS =
      List.of(
          new Condition("as scanned", SliceVariation.NONE),
          new Condition(
              "turned by 15 degrees",
              new SliceVariation(Math.toRadians(15), 1, 0, 0, false, 1, 1, 0, 0, 0)),
          new Condition("15 % smaller", new SliceVariation(0, 0.85, 0, 0, false, 1, 1, 0, 0, 0)),
          new Condition(
              "brighter, less contrast", new SliceVariation(0, 1, 0, 0, false, 1.5, 0.75, 0, 0, 0)),
          new Condition("uneven coil", new SliceVariation(0, 1, 0, 0, false, 1, 1, 0.4, -0.4, 0)),
          new Condition("noise", new SliceVariation(0, 1, 0, 0, false, 1, 1, 0, 0, 0.03)));

  @Option(
      names = "--templates",
      required = true,
      description = "usr/share/mricron/templates of the unpacked Debian package mricron-data.")
  private Path templates;

  @Option(
      names = "--model",
      defaultValue = "examples/models/mini-brain-mask",
      description = "Model folder (default: ${DEFAULT-VALUE}).")
  private Path model;

  @Mixin private EnsembleOptions asked;

  @Option(
      names = "--inputs",
      description = "Folder for what is committed as example input: some slices as PNG files.")
  private Path inputs;

  public static void main(String[] args) {
    System.exit(new CommandLine(new MiniBrainEvaluation()).execute(args));
  }

  @Override
  public Integer call() throws Exception {
    HeadScan scan = HeadScan.open(templates);
    if (inputs != null) {
      Files.createDirectories(inputs);
      for (int z : EXAMPLES) {
        Files.write(inputs.resolve("slice-" + z + ".png"), PngCodec.encode(scan.slice(z)));
        Files.write(inputs.resolve("slice-" + z + "-mask.png"), PngCodec.encode(scan.mask(z)));
      }
    }
    ContactSheet pictures =
        ContactSheet.columns(SHEET_COLUMNS).title("mini-brain-mask, slices that were held out");
    System.out.println(
        "| slices | Dice of all voxels | least of a slice | IoU | Dice of one sample | Spearman of"
            + " spread and error |");
    System.out.println("| --- | --- | --- | --- | --- | --- |");
    try (DiffusionPipeline pipeline =
        Pipelines.open(model, PipelineSettings.on(Engines.standard().device("auto")))) {
      for (Condition condition : CONDITIONS) {
        measure(pipeline, scan, condition, pictures);
      }
    }
    if (asked.sheet().isPresent()) {
      Files.write(asked.sheet().get(), pictures.toPng());
    }
    return 0;
  }

  private void measure(
      DiffusionPipeline pipeline, HeadScan scan, Condition condition, ContactSheet pictures) {
    List<Integer> slices = HeadScan.heldOut();
    int plane = HeadScan.HEIGHT * HeadScan.WIDTH;
    boolean[] all = new boolean[slices.size() * plane];
    boolean[] allSample = new boolean[all.length];
    boolean[] allTrue = new boolean[all.length];
    double least = 1;
    double spearman = 0;
    Random random = new Random(NOISE_SEED);
    for (int i = 0; i < slices.size(); i++) {
      int z = slices.get(i);
      SliceVariation.Pair pair =
          condition
              .variation()
              .apply(scan.slice(z), scan.mask(z), HeadScan.HEIGHT, HeadScan.WIDTH, random);
      Ensemble ensemble = Ensemble.of(pipeline, pair.slice(), asked.samples(), asked.steps());
      boolean[] inside = inside(ensemble.mean());
      boolean[] truth = inside(pair.mask());
      System.arraycopy(inside, 0, all, i * plane, plane);
      System.arraycopy(inside(ensemble.samples().get(0)), 0, allSample, i * plane, plane);
      System.arraycopy(truth, 0, allTrue, i * plane, plane);
      double dice = Overlap.dice(inside, truth);
      least = Math.min(least, dice);
      Raster error = ensemble.error(pair.mask());
      spearman += RankCorrelation.spearman(ensemble.spread().data(), error.data()) / slices.size();
      if (condition.variation() == SliceVariation.NONE && i % SHEET_EVERY == 0) {
        pictures
            .add(pair.slice(), "slice " + z, "")
            .add(ensemble.mean(), "mean of " + asked.samples(), "Dice %.3f".formatted(dice))
            .add(pair.mask(), "truth", "")
            .add(Ensemble.shown(ensemble.spread()), "uncertainty", "spread of the samples")
            .add(Ensemble.shown(error), "error of the mean", "");
      }
    }
    System.out.printf(
        "| %s | %.4f | %.4f | %.4f | %.4f | %.2f |%n",
        condition.name(),
        Overlap.dice(all, allTrue),
        least,
        Overlap.intersectionOverUnion(all, allTrue),
        Overlap.dice(allSample, allTrue),
        spearman);
  }

  private static boolean[] inside(Raster mask) {
    boolean[] inside = new boolean[mask.data().length];
    for (int i = 0; i < inside.length; i++) {
      inside[i] = mask.data()[i] >= 0.5f;
    }
    return inside;
  }
}
