/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.ModelQuantizer;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.quality.Fidelity;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.QuantizedWeights.Kind;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** What weights in int8 and int4 save, how fast they are, and how much images change. */
@Command(
    name = "quantized",
    mixinStandardHelpOptions = true,
    description =
        "Memory of weights, steps a second and PSNR of models whose UNet is in int8 or int4,"
            + " beside float32.")
final class QuantizedBenchmark extends BenchmarkCommand {
  private static final String FLOAT32 = "float32";
  private static final String UNET = "unet";
  private static final String STEPS = "steps/s";
  private static final double PSNR_GOAL = 35;

  /** In place of an infinite one, where images are equal. */
  private static final double EQUAL = 100;

  @Option(
      names = "--full-size",
      description =
          "Also Stable Diffusion 1.5 with random weights: memory and speed (default:"
              + " ${DEFAULT-VALUE}).")
  private boolean fullSize;

  @Option(
      names = "--pixels",
      paramLabel = "N",
      description = "With --full-size: side of the image (default: ${DEFAULT-VALUE}).")
  private int pixels = 256;

  @Option(
      names = "--cache",
      paramLabel = "FOLDER",
      description =
          "With --full-size: where the model is made (default: benchmarks/target/models).")
  private Path cache = RunOptions.home().resolve("benchmarks/target/models");

  /**
   * A model and its requests.
   *
   * @param trained whether its images mean anything
   */
  private record Subject(
      String name, Path folder, List<GenerationSpec> requests, boolean trained) {}

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "Weights in int8 and int4",
            """
            `examples/model quantize` of a model's UNet; networks compute in float32. Memory is that of the UNet's weights, over
            four bytes for each of its numbers: they stay as they are in the file. Steps a second are those of one batch of all
            requests. PSNR is the mean over the images, each against the image of its request by float32 weights.
            """);
    Path work = Files.createTempDirectory("flink-diffusion-quantized");
    try {
      for (Subject subject : subjects()) {
        measure(subject, work.resolve(subject.name().replace(' ', '-')), result);
      }
    } finally {
      delete(work);
    }
    return result;
  }

  private List<Subject> subjects() throws IOException {
    List<Subject> subjects = new ArrayList<>(embedded());
    if (fullSize && !options().smoke()) {
      GenerationSpec spec =
          GenerationSpec.of("one")
              .with(Parameters.PROMPT, "a photo of an astronaut riding a horse on mars")
              .with(Parameters.STEPS, 2L)
              .with(Parameters.GUIDANCE_SCALE, 1.0)
              .with(Parameters.WIDTH, (long) pixels)
              .with(Parameters.HEIGHT, (long) pixels);
      subjects.add(
          new Subject(
              "Stable Diffusion 1.5",
              RandomStableDiffusion.pipeline(cache, DType.F16),
              List.of(spec),
              false));
    }
    return subjects;
  }

  private List<Subject> embedded() throws IOException {
    Path models = RunOptions.home().resolve("examples/models");
    int steps = options().smoke() ? 2 : 25;
    List<GenerationSpec> prompts =
        MiniEmoji.prompts(options().smoke() ? 2 : 16).stream()
            .map(
                prompt ->
                    GenerationSpec.of(prompt)
                        .with(Parameters.PROMPT, prompt)
                        .with(Parameters.STEPS, (long) steps)
                        .with(Parameters.GUIDANCE_SCALE, 2.0))
            .toList();
    return List.of(
        new Subject("mini-emoji", MiniEmoji.folder(), prompts, true),
        ofImages(models.resolve("mini-satellite-x4"), "alps.png", "himalaya.png", "java.png"),
        ofImages(
            models.resolve("mini-brain-mask"), "slice-24.png", "slice-60.png", "slice-96.png"));
  }

  private static Subject ofImages(Path folder, String... inputs) throws IOException {
    List<GenerationSpec> requests = new ArrayList<>();
    for (String input : inputs) {
      Raster image = Images.read(folder.resolve("inputs").resolve(input), ReadOptions.DEFAULT);
      for (long seed = 0; seed < 2; seed++) {
        requests.add(
            GenerationSpec.of(input + seed)
                .with(Parameters.IMAGE, image)
                .with(Parameters.SEED, seed)
                .with(Parameters.STEPS, 4L));
      }
    }
    return new Subject(folder.getFileName().toString(), folder, requests, true);
  }

  private void measure(Subject subject, Path work, BenchmarkResult.Builder result)
      throws Exception {
    Map<String, Path> folders = new LinkedHashMap<>();
    folders.put(FLOAT32, subject.folder());
    double floats = 4.0 * elements(subject.folder());
    for (Kind kind : Kind.values()) {
      Path folder = work.resolve(name(kind));
      Files.createDirectories(folder.getParent());
      long bytes =
          ModelQuantizer.write(
                  ModelFolder.open(subject.folder()), new TreeSet<>(List.of(UNET)), kind, folder)
              .get(0)
              .after();
      folders.put(name(kind), folder);
      result.add(
          Finding.absolute(
              name(kind) + ": memory of the weights over float32's",
              new Measurement(subject.name(), name(kind), "x", List.of(bytes / floats)),
              subject.trained() ? null : Goal.atMost(kind == Kind.INT8 ? 0.30 : 0.22)));
    }
    Map<String, List<Raster>> images = new LinkedHashMap<>();
    Map<String, Callable<Double>> speeds = new LinkedHashMap<>();
    folders.forEach(
        (type, folder) ->
            speeds.put(type, () -> rate(folder, work.resolve("kept"), subject, type, images)));
    Map<String, Measurement> measured = options().rounds().alternate(subject.name(), STEPS, speeds);
    measured.values().forEach(result::add);
    for (Kind kind : Kind.values()) {
      String type = name(kind);
      result.add(
          Finding.ratio(
              type + ": speed over float32", measured.get(type), measured.get(FLOAT32), null));
      if (subject.trained()) {
        double psnr = psnr(images.get(type), images.get(FLOAT32));
        result.add(
            Finding.absolute(
                type + ": PSNR",
                new Measurement(subject.name(), type, "dB", List.of(psnr)),
                kind == Kind.INT8 ? Goal.atLeast(PSNR_GOAL) : null));
      }
    }
  }

  private static String name(Kind kind) {
    return kind.name().toLowerCase(Locale.ROOT);
  }

  private static long elements(Path folder) {
    try (TensorStore unet = ModelFolder.open(folder).component(UNET).open()) {
      return unet.names().stream()
          .mapToLong(name -> Arrays.stream(unet.info(name).shape()).reduce(1, (a, b) -> a * b))
          .sum();
    }
  }

  /** Steps a second of a batch, after one that does not count. */
  private static double rate(
      Path folder, Path kept, Subject subject, String type, Map<String, List<Raster>> images)
      throws IOException {
    Files.createDirectories(kept);
    PipelineSettings settings =
        PipelineSettings.on(DeviceSpec.CPU).withPrecision(Precision.FLOAT32).withArchives(kept);
    try (DiffusionPipeline pipeline = Pipelines.open(folder, settings)) {
      List<Trajectory> trajectories =
          pipeline.start(subject.requests().stream().map(pipeline.model()::prepare).toList());
      pipeline.step(trajectories);
      int steps = 0;
      long begin = System.nanoTime();
      while (!trajectories.get(0).done()) {
        pipeline.step(trajectories);
        steps++;
      }
      double rate = steps * 1e9 / (System.nanoTime() - begin);
      if (subject.trained()) {
        images.put(
            type, pipeline.finish(trajectories).stream().map(GeneratedImage::image).toList());
      } else {
        trajectories.forEach(Trajectory::close);
      }
      return rate;
    }
  }

  private static double psnr(List<Raster> images, List<Raster> truths) {
    double sum = 0;
    for (int i = 0; i < images.size(); i++) {
      sum += Math.min(EQUAL, Fidelity.psnr(images.get(i), truths.get(i)));
    }
    return sum / images.size();
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    }
  }
}
