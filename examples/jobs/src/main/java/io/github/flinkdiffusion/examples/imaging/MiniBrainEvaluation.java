/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.quality.Overlap;
import io.github.flinkdiffusion.ops.quality.RankCorrelation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Measures mini-brain-mask on the slices that were held out, as they are and shown otherwise, and
 * on a head that it was never trained on: how far the mean of an ensemble, cut at a half, agrees
 * with the true mask, and whether the ensemble's spread tells where its mean is wrong. Everything
 * is counted at 1 mm. Of pictures without a brain it counts the marked pixels.
 */
@Command(
    name = "mini-brain-evaluation",
    mixinStandardHelpOptions = true,
    description = "Measures mini-brain-mask on slices that it was not trained on.")
public final class MiniBrainEvaluation implements Callable<Integer> {
  private static final int SHEET_COLUMNS = 5;

  /** Of the held-out slices, each so-manieth is on the sheet. */
  private static final int SHEET_EVERY = 4;

  /** Likewise of the second head's. */
  private static final int SECOND_SHEET_EVERY = 5;

  /** Slices that are example inputs, all held out. */
  private static final List<Integer> EXAMPLES = List.of(24, 60, 96);

  private static final long NOISE_SEED = 7;

  /** Share of a picture's pixels below which a mask counts as almost empty. */
  private static final double LEAST_SHARE = 0.005;

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
          new Condition("darker", new SliceVariation(0, 1, 0, 0, false, 0.6, 1, 0, 0, 0)),
          new Condition("uneven coil", new SliceVariation(0, 1, 0, 0, false, 1, 1, 0.4, -0.4, 0)),
          new Condition("noise", new SliceVariation(0, 1, 0, 0, false, 1, 1, 0, 0, 0.03)));

  private static final int ICONS = 25;
  private static final double ICON_SHARE = 0.9;

  @Option(
      names = "--templates",
      required = true,
      description = "usr/share/mricron/templates of the unpacked Debian package mricron-data.")
  private Path templates;

  @Option(
      names = "--second-head",
      description =
          "usr/share/doc/insighttoolkit5-examples/examples/Data of the unpacked Debian package"
              + " insighttoolkit5-examples: the head that was never trained on.")
  private Path secondHead;

  @Option(
      names = "--non-heads",
      description = "Folder of pictures without a brain; their masks should be empty.")
  private Path nonHeads;

  @Option(
      names = "--icons",
      description =
          "icons.json of an npm package @iconify-json/..., 25 of whose drawings are pictures"
              + " without a brain, too.")
  private Path icons;

  @Option(
      names = "--conditions",
      defaultValue = "7",
      description =
          "Ways to show the held-out slices, of 7, the first as scanned (default:"
              + " ${DEFAULT-VALUE}).")
  private int conditions;

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
      for (Condition condition : CONDITIONS.subList(0, conditions)) {
        measure(
            pipeline,
            condition.name(),
            held(scan, condition.variation()),
            condition.variation() == SliceVariation.NONE ? SHEET_EVERY : 0,
            pictures);
      }
      SecondHead second = secondHead == null ? null : SecondHead.open(secondHead);
      if (second != null) {
        List<Shown> slices =
            SecondHead.withBrain().stream()
                .map(z -> new Shown("second head " + z, second.slice(z), second.mask(z)))
                .toList();
        measure(pipeline, "another head", slices, SECOND_SHEET_EVERY, pictures);
      }
      if (nonHeads != null || icons != null) {
        findNothing(pipeline, second);
      }
    }
    if (asked.sheet().isPresent()) {
      Files.write(asked.sheet().get(), pictures.toPng());
    }
    return 0;
  }

  /** A slice and its true mask. */
  private record Shown(String name, Raster slice, Raster mask) {}

  private static List<Shown> held(HeadScan scan, SliceVariation variation) {
    Random random = new Random(NOISE_SEED);
    List<Shown> shown = new ArrayList<>();
    for (int z : HeadScan.heldOut()) {
      SliceVariation.Pair pair =
          variation.apply(scan.slice(z), scan.mask(z), HeadScan.HEIGHT, HeadScan.WIDTH, random);
      shown.add(new Shown("slice " + z, pair.slice(), pair.mask()));
    }
    return shown;
  }

  /** Prints the marked pixels of each picture without a brain. */
  private void findNothing(DiffusionPipeline pipeline, SecondHead second) throws IOException {
    Map<String, Raster> pictures = nonHeads == null ? new TreeMap<>() : NonHeads.read(nonHeads);
    if (icons != null) {
      NonHeads.drawings(icons, ICONS)
          .forEach(
              (name, drawing) ->
                  pictures.put(
                      "icon " + name,
                      NonHeads.placed(
                          drawing,
                          pictures.size() % 2,
                          ICON_SHARE,
                          0.5,
                          0.5,
                          HeadScan.HEIGHT,
                          HeadScan.WIDTH)));
    }
    if (second != null) {
      for (int z : SecondHead.withoutBrain()) {
        pictures.put("second head, slice " + z, second.slice(z));
      }
    }
    int empty = 0;
    int almost = 0;
    System.out.println();
    for (Map.Entry<String, Raster> picture : pictures.entrySet()) {
      Raster fitted =
          FloatResize.resize(
              picture.getValue(), HeadScan.HEIGHT, HeadScan.WIDTH, PilResize.Filter.BILINEAR);
      boolean[] marked =
          inside(Ensemble.of(pipeline, fitted, asked.samples(), asked.steps()).mean());
      int count = 0;
      for (boolean pixel : marked) {
        count += pixel ? 1 : 0;
      }
      empty += count == 0 ? 1 : 0;
      almost += count < LEAST_SHARE * marked.length ? 1 : 0;
      if (count > 0) {
        System.out.printf("%s: %.2f %% marked%n", picture.getKey(), 100.0 * count / marked.length);
      }
    }
    System.out.printf(
        "of %d pictures without a brain, %d have no marked pixel, %d fewer than %.1f %%%n",
        pictures.size(), empty, almost, 100 * LEAST_SHARE);
  }

  private void measure(
      DiffusionPipeline pipeline,
      String name,
      List<Shown> slices,
      int sheetEvery,
      ContactSheet pictures) {
    int plane = HeadScan.HEIGHT * HeadScan.WIDTH;
    boolean[] all = new boolean[slices.size() * plane];
    boolean[] allSample = new boolean[all.length];
    boolean[] allTrue = new boolean[all.length];
    double least = 1;
    double spearman = 0;
    int correlated = 0;
    for (int i = 0; i < slices.size(); i++) {
      Shown shown = slices.get(i);
      Ensemble ensemble = Ensemble.of(pipeline, shown.slice(), asked.samples(), asked.steps());
      boolean[] inside = inside(ensemble.mean());
      boolean[] truth = inside(shown.mask());
      System.arraycopy(inside, 0, all, i * plane, plane);
      System.arraycopy(inside(ensemble.samples().get(0)), 0, allSample, i * plane, plane);
      System.arraycopy(truth, 0, allTrue, i * plane, plane);
      double dice = Overlap.dice(inside, truth);
      least = Math.min(least, dice);
      Raster error = ensemble.error(shown.mask());
      double correlation = RankCorrelation.spearman(ensemble.spread().data(), error.data());
      // Samples without a mask do not differ: nothing is correlated.
      if (!Double.isNaN(correlation)) {
        spearman += correlation;
        correlated++;
      }
      if (sheetEvery > 0 && i % sheetEvery == 0) {
        pictures
            .add(shown.slice(), shown.name(), "")
            .add(ensemble.mean(), "mean of " + asked.samples(), "Dice %.3f".formatted(dice))
            .add(shown.mask(), "truth", "")
            .add(Ensemble.shown(ensemble.spread()), "uncertainty", "spread of the samples")
            .add(Ensemble.shown(error), "error of the mean", "");
      }
    }
    System.out.printf(
        "| %s | %.4f | %.4f | %.4f | %.4f | %.2f |%n",
        name,
        Overlap.dice(all, allTrue),
        least,
        Overlap.intersectionOverUnion(all, allTrue),
        Overlap.dice(allSample, allTrue),
        spearman / correlated);
  }

  private static boolean[] inside(Raster mask) {
    boolean[] inside = new boolean[mask.data().length];
    for (int i = 0; i < inside.length; i++) {
      inside[i] = mask.data()[i] >= 0.5f;
    }
    return inside;
  }
}
