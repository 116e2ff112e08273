/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Measures mini-emoji: draws scenes and asks which of all 960 true scenes each picture is nearest
 * to (mean squared error over pixels). A picture is right when that scene is the one that was asked
 * for; emoji, background and size are counted each, too.
 */
@Command(
    name = "mini-emoji-evaluation",
    mixinStandardHelpOptions = true,
    description = "Measures how often mini-emoji draws what it was asked for.")
public final class MiniEmojiEvaluation implements Callable<Integer> {
  private static final int BATCH = 16;
  private static final int SHEET_COLUMNS = 8;

  @Option(
      names = "--images",
      required = true,
      description = "Folder img/google/64 of the unpacked npm package emoji-datasource-google.")
  private Path images;

  @Option(
      names = "--model",
      defaultValue = "examples/models/mini-emoji",
      description = "Model folder (default: ${DEFAULT-VALUE}).")
  private Path model;

  @Option(
      names = "--scenes",
      defaultValue = "96",
      description = "Scenes of each kind, trained on and held out (default: ${DEFAULT-VALUE}).")
  private int scenes;

  @Option(
      names = "--steps",
      defaultValue = "25",
      description = "Denoising steps (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--guidance",
      defaultValue = "2",
      description = "Guidance scale (default: ${DEFAULT-VALUE}).")
  private double guidance;

  @Option(names = "--scheduler", description = "diffusers class name (default: the model's own).")
  private String scheduler;

  @Option(names = "--sheet", description = "PNG file for a contact sheet of the held-out scenes.")
  private Path sheet;

  public static void main(String[] args) {
    System.exit(new CommandLine(new MiniEmojiEvaluation()).execute(args));
  }

  @Override
  public Integer call() throws Exception {
    EmojiImages pictures = EmojiImages.open(images);
    List<EmojiScene> all = EmojiVocabulary.scenes();
    List<Raster> truth = all.stream().map(scene -> scene.render(pictures)).toList();
    try (DiffusionPipeline pipeline =
        Pipelines.open(
            model,
            PipelineSettings.on(Engines.standard().device("auto"))
                .withPrecision(Precision.FLOAT32))) {
      System.out.println(
          "| scenes | count | scene right | emoji right | background right | size right | PSNR to"
              + " the true image |");
      System.out.println("| --- | --- | --- | --- | --- | --- | --- |");
      measure("trained on", pipeline, EmojiVocabulary.trainingScenes(), all, truth, null);
      measure("held out", pipeline, EmojiVocabulary.heldOutScenes(), all, truth, sheet);
    }
    return 0;
  }

  private void measure(
      String name,
      DiffusionPipeline pipeline,
      List<EmojiScene> kind,
      List<EmojiScene> all,
      List<Raster> truth,
      Path sheetFile)
      throws Exception {
    List<EmojiScene> chosen = new ArrayList<>(kind);
    Collections.shuffle(chosen, new Random(7));
    chosen = chosen.subList(0, Math.min(scenes, chosen.size()));
    ContactSheet contactSheet = ContactSheet.columns(SHEET_COLUMNS).title("mini-emoji, " + name);
    int scene = 0;
    int emoji = 0;
    int background = 0;
    int size = 0;
    double psnr = 0;
    try (ProgressBar bar =
        new ProgressBarBuilder().setTaskName(name).setInitialMax(chosen.size()).build()) {
      for (int begin = 0; begin < chosen.size(); begin += BATCH) {
        List<EmojiScene> batch = chosen.subList(begin, Math.min(begin + BATCH, chosen.size()));
        List<GeneratedImage> made = draw(pipeline, batch, begin);
        for (int i = 0; i < batch.size(); i++) {
          EmojiScene asked = batch.get(i);
          float[] picture = made.get(i).image().data();
          int nearest = 0;
          double least = Double.MAX_VALUE;
          for (int j = 0; j < truth.size(); j++) {
            double error = meanSquaredError(picture, truth.get(j).data());
            if (error < least) {
              least = error;
              nearest = j;
            }
          }
          EmojiScene seen = all.get(nearest);
          scene += seen.equals(asked) ? 1 : 0;
          emoji += seen.emoji().equals(asked.emoji()) ? 1 : 0;
          background += seen.background().equals(asked.background()) ? 1 : 0;
          size += seen.size() == asked.size() ? 1 : 0;
          psnr += -10 * Math.log10(meanSquaredError(picture, truth.get(all.indexOf(asked)).data()));
          contactSheet.add(made.get(i).image(), asked.prompt());
          bar.step();
        }
      }
    }
    int n = chosen.size();
    System.out.printf(
        "| %s | %d | %.1f %% | %.1f %% | %.1f %% | %.1f %% | %.1f dB |%n",
        name,
        n,
        100.0 * scene / n,
        100.0 * emoji / n,
        100.0 * background / n,
        100.0 * size / n,
        psnr / n);
    if (sheetFile != null) {
      Files.write(sheetFile, contactSheet.toPng());
    }
  }

  private List<GeneratedImage> draw(DiffusionPipeline pipeline, List<EmojiScene> batch, int first) {
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < batch.size(); i++) {
      requests.add(
          pipeline
              .model()
              .prepare(
                  GenerationSpec.of("scene")
                      .with(Parameters.PROMPT, batch.get(i).prompt())
                      .with(Parameters.SEED, (long) first + i)
                      .with(Parameters.SCHEDULER, scheduler)
                      .with(Parameters.STEPS, (long) steps)
                      .with(Parameters.GUIDANCE_SCALE, guidance)));
    }
    List<Trajectory> trajectories = pipeline.start(requests);
    while (!trajectories.get(0).done()) {
      pipeline.step(trajectories);
    }
    return pipeline.finish(trajectories);
  }

  private static double meanSquaredError(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      double difference = a[i] - b[i];
      sum += difference * difference;
    }
    return sum / a.length;
  }
}
