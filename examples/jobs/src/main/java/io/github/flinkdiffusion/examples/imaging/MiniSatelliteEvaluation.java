/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.examples.imaging.BlueMarble.Region;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.quality.Fidelity;
import io.github.flinkdiffusion.ops.quality.RankCorrelation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Measures mini-satellite-x4 on the regions that were held out: what the mean of an ensemble has
 * over bicubic enlargement, and whether the ensemble's spread tells where its mean is wrong.
 */
@Command(
    name = "mini-satellite-evaluation",
    mixinStandardHelpOptions = true,
    description = "Measures mini-satellite-x4 on regions that it was not trained on.")
public final class MiniSatelliteEvaluation implements Callable<Integer> {
  private static final int SHEET_COLUMNS = 5;

  /** File names of the example inputs, by the region that they show. */
  private static final Map<String, Integer> EXAMPLES = Map.of("himalaya", 1, "alps", 0, "java", 7);

  /** Likewise of scenes that are larger than what the model was trained on. */
  private static final Map<String, Integer> SCENES = Map.of("mediterranean", 0, "carolina", 2);

  /** Regions shown at full size: desert and coasts, snow, forest. */
  private static final List<Integer> FULL_SIZE = List.of(0, 1, 3);

  private static final Window SCENE = new Window(48, 64, 160, 96);

  @Option(
      names = "--image",
      required = true,
      description = "example/img/earth-blue-marble.jpg of the unpacked npm package three-globe.")
  private Path image;

  @Option(
      names = "--model",
      defaultValue = "examples/models/mini-satellite-x4",
      description = "Model folder (default: ${DEFAULT-VALUE}).")
  private Path model;

  @Mixin private EnsembleOptions asked;

  @Option(
      names = "--full-size",
      description =
          "JPEG file for regions with snow, forest and coasts at full size: bicubic, the model's,"
              + " the truth.")
  private Path fullSize;

  @Option(
      names = "--regions",
      defaultValue = "10",
      description = "Regions to measure, of 10 (default: ${DEFAULT-VALUE}).")
  private int regions;

  @Option(
      names = "--inputs",
      description = "Folder for what is committed as example input: some regions as PNG files.")
  private Path inputs;

  public static void main(String[] args) {
    System.exit(new CommandLine(new MiniSatelliteEvaluation()).execute(args));
  }

  /** Values of one region, or sums of several. */
  private record Scores(
      double bicubicPsnr,
      double psnr,
      double samplePsnr,
      double bicubicSsim,
      double ssim,
      double spearman) {
    Scores plus(Scores other) {
      return new Scores(
          bicubicPsnr + other.bicubicPsnr,
          psnr + other.psnr,
          samplePsnr + other.samplePsnr,
          bicubicSsim + other.bicubicSsim,
          ssim + other.ssim,
          spearman + other.spearman);
    }

    void print(String name, int n) {
      System.out.printf(
          "| %s | %.2f | %.2f | %+.2f | %.2f | %.4f | %.4f | %.2f |%n",
          name,
          bicubicPsnr / n,
          psnr / n,
          (psnr - bicubicPsnr) / n,
          samplePsnr / n,
          bicubicSsim / n,
          ssim / n,
          spearman / n);
    }
  }

  @Override
  public Integer call() throws Exception {
    BlueMarble globe = BlueMarble.open(image);
    if (inputs != null) {
      writeInputs(globe);
    }
    ContactSheet pictures =
        ContactSheet.columns(SHEET_COLUMNS).title("mini-satellite-x4, regions that were held out");
    ContactSheet large =
        ContactSheet.columns(3).title("mini-satellite-x4, full size").pictureSize(Region.SIDE);
    Scores sum = new Scores(0, 0, 0, 0, 0, 0);
    System.out.println(
        "| region | bicubic PSNR | mean PSNR | gain | one sample PSNR | bicubic SSIM | mean SSIM |"
            + " Spearman of spread and error |");
    System.out.println("| --- | --- | --- | --- | --- | --- | --- | --- |");
    try (DiffusionPipeline pipeline =
        Pipelines.open(model, PipelineSettings.on(Engines.standard().device("auto")))) {
      for (Region region : BlueMarble.HELD_OUT.subList(0, regions)) {
        Raster truth = globe.truth(region);
        Raster seen = globe.seen(region);
        Raster bicubic =
            FloatResize.resize(seen, truth.height(), truth.width(), PilResize.Filter.BICUBIC);
        Ensemble ensemble = Ensemble.of(pipeline, seen, asked.samples(), asked.steps());
        Raster error = ensemble.error(truth);
        Scores scores =
            new Scores(
                Fidelity.psnr(bicubic, truth),
                Fidelity.psnr(ensemble.mean(), truth),
                Fidelity.psnr(ensemble.samples().get(0), truth),
                Fidelity.ssim(bicubic, truth),
                Fidelity.ssim(ensemble.mean(), truth),
                RankCorrelation.spearman(ensemble.spread().data(), error.data()));
        scores.print(region.name(), 1);
        sum = sum.plus(scores);
        pictures
            .add(seen, region.name(), "64 x 64")
            .add(ensemble.mean(), "mean of " + asked.samples(), "%.1f dB".formatted(scores.psnr()))
            .add(truth, "truth", "bicubic: %.1f dB".formatted(scores.bicubicPsnr()))
            .add(Ensemble.shown(ensemble.spread()), "uncertainty", "spread of the samples")
            .add(Ensemble.shown(error), "error of the mean", "");
        if (FULL_SIZE.contains(BlueMarble.HELD_OUT.indexOf(region))) {
          large
              .add(bicubic, region.name(), "bicubic: %.1f dB".formatted(scores.bicubicPsnr()))
              .add(ensemble.mean(), "mini-satellite-x4", "%.1f dB".formatted(scores.psnr()))
              .add(truth, "truth", "");
        }
      }
    }
    sum.print("**mean**", regions);
    if (asked.sheet().isPresent()) {
      Files.write(asked.sheet().get(), pictures.pictureSize(Region.SIDE).toPng());
    }
    if (fullSize != null) {
      Files.write(fullSize, Images.write(PngCodec.decode(large.toPng()), "image/jpeg"));
    }
    return 0;
  }

  private void writeInputs(BlueMarble globe) throws IOException {
    Files.createDirectories(inputs);
    for (Map.Entry<String, Integer> example : EXAMPLES.entrySet()) {
      Region region = BlueMarble.HELD_OUT.get(example.getValue());
      Files.write(inputs.resolve(example.getKey() + ".png"), PngCodec.encode(globe.seen(region)));
    }
    Files.write(
        inputs.resolve("himalaya-x4.png"),
        PngCodec.encode(globe.truth(BlueMarble.HELD_OUT.get(EXAMPLES.get("himalaya")))));
    for (Map.Entry<String, Integer> scene : SCENES.entrySet()) {
      Files.write(
          inputs.resolve(scene.getKey() + ".tif"),
          Images.write(
              globe.scene(BlueMarble.HELD_OUT.get(scene.getValue()), SCENE), "image/tiff"));
    }
  }
}
