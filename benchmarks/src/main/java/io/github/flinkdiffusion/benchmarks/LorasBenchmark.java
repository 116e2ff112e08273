/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.pipeline.AdapterSettings;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.Lora;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Rows with LoRAs of their own in one call, beside one LoRA that is part of the weights. */
@Command(
    name = "loras",
    mixinStandardHelpOptions = true,
    description =
        "Steps of a batch in which each request names a LoRA of its own, beside a model with one"
            + " LoRA merged in.")
final class LorasBenchmark extends BenchmarkCommand {
  private static final double CPU_GOAL = 0.7;
  private static final double GPU_GOAL = 0.85;

  /** What kohya's and diffusers' programs train by default: all layers of the transformers. */
  private static final String LAYERS =
      ".*(transformer_blocks\\.\\d+\\..*(to_[qkv]|to_out\\.0|ff\\.net\\.0\\.proj|ff\\.net\\.2)"
          + "|attentions\\.\\d+\\.proj_(in|out))\\.weight";

  @Option(
      names = "--device",
      paramLabel = "NAME",
      description = "auto, cpu or gpu:N (default: ${DEFAULT-VALUE}).")
  private String deviceName = "auto";

  @Option(
      names = "--engines",
      paramLabel = "NAME",
      split = ",",
      description = "(default: ${DEFAULT-VALUE}).")
  private List<String> engines = List.of(Engines.ONNX_RUNTIME, Engines.PYTORCH);

  @Option(
      names = "--rows",
      paramLabel = "N",
      description = "Requests of a batch, each with its LoRA (default: ${DEFAULT-VALUE}).")
  private int rows = 8;

  @Option(
      names = "--rank",
      paramLabel = "N",
      description = "Of each LoRA (default: ${DEFAULT-VALUE}).")
  private int rank = 16;

  @Option(
      names = "--pixels",
      paramLabel = "N",
      description =
          "Side of the images of Stable Diffusion 1.5 (default: 256 on the CPU, 512 on a GPU).")
  private int pixels;

  /** What is measured. */
  enum Model {
    MINI_EMOJI,
    SD15
  }

  @Option(
      names = "--models",
      paramLabel = "NAME",
      split = ",",
      description =
          "${COMPLETION-CANDIDATES}; SD15 is Stable Diffusion 1.5 with random weights (default:"
              + " ${DEFAULT-VALUE}).")
  private List<Model> models = List.of(Model.MINI_EMOJI, Model.SD15);

  @Option(
      names = "--cache",
      paramLabel = "FOLDER",
      description =
          "Where the random weights of Stable Diffusion 1.5 (4.3 GB) are kept (default:"
              + " benchmarks/target/models).")
  private Path cache = RunOptions.home().resolve("benchmarks/target/models");

  /**
   * What is measured.
   *
   * @param steps of the network in a round
   * @param side of the images in pixels
   */
  private record Subject(String name, Path folder, int steps, int side) {}

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    DeviceSpec device = Engines.standard().device(deviceName);
    if (pixels == 0) {
      pixels = device.isGpu() ? 512 : 256;
    }
    List<Subject> subjects = new ArrayList<>();
    if (options().smoke()) {
      rank = 2;
      rows = 2;
      engines = List.of(Engines.ONNX_RUNTIME);
    }
    if (models.contains(Model.MINI_EMOJI)) {
      subjects.add(new Subject("mini-emoji", MiniEmoji.folder(), options().smoke() ? 2 : 20, 64));
    }
    if (models.contains(Model.SD15) && !options().smoke()) {
      subjects.add(
          new Subject(
              "Stable Diffusion 1.5, %d pixels".formatted(pixels),
              RandomStableDiffusion.pipeline(cache, DType.F32),
              device.isGpu() ? 10 : 1,
              pixels));
    }
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "LoRAs that requests name",
            """
            A batch of %d requests without guidance, on %s, float32: each names a LoRA of its own, beside a model with one LoRA
            merged into its weights, which therefore costs what the model alone costs. Each LoRA has rank %d, random numbers, and
            changes all linear layers of all transformer blocks and their projections. Rows of steps a second; texts are encoded
            and images decoded outside the measured time. Copying the factors into each call is in it.
            """
                .formatted(rows, device.isGpu() ? "the GPU" : "the CPU", rank));
    Path loras = Files.createTempDirectory("loras");
    try {
      for (Subject subject : subjects) {
        SortedMap<String, Path> files = write(subject, loras);
        for (String engine : engines) {
          measure(subject, engine, device, files, result);
        }
      }
    } finally {
      try (Stream<Path> all = Files.walk(loras)) {
        for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
          Files.delete(path);
        }
      }
    }
    return result;
  }

  private void measure(
      Subject subject,
      String engine,
      DeviceSpec device,
      SortedMap<String, Path> files,
      BenchmarkResult.Builder result)
      throws Exception {
    PipelineSettings settings = PipelineSettings.on(device).withEngine(engine);
    try (DiffusionPipeline named =
            Pipelines.open(
                subject.folder(), settings.withAdapters(new AdapterSettings(files, rows)));
        DiffusionPipeline merged =
            Pipelines.open(
                subject.folder(),
                settings.withLoras(List.of(new Lora(files.get(files.firstKey()), 1))))) {
      Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
      subjects.put(rows + " LoRAs, named", () -> rate(named, subject, List.copyOf(files.keySet())));
      subjects.put("one LoRA, merged", () -> rate(merged, subject, List.of()));
      compare(
          result,
          subject.name() + ", " + engine,
          "rows/s",
          subjects,
          "rate over one merged LoRA",
          Goal.atLeast(device.isGpu() ? GPU_GOAL : CPU_GOAL));
    }
  }

  private double rate(DiffusionPipeline pipeline, Subject subject, List<String> loras)
      throws Exception {
    List<Trajectory> batch =
        pipeline.start(
            Stream.iterate(0, i -> i < rows, i -> i + 1)
                .map(i -> spec(subject, i, loras))
                .map(pipeline.model()::prepare)
                .toList());
    double seconds =
        Rounds.seconds(
            () -> {
              for (int step = 0; step < subject.steps(); step++) {
                pipeline.step(batch);
              }
            });
    return rows * subject.steps() / seconds;
  }

  private static GenerationSpec spec(Subject subject, int number, List<String> loras) {
    GenerationSpec spec =
        MiniEmoji.spec("request-" + number, Math.max(2, subject.steps()))
            .with(Parameters.SEED, (long) number)
            .with(Parameters.WIDTH, (long) subject.side())
            .with(Parameters.HEIGHT, (long) subject.side());
    return loras.isEmpty() ? spec : spec.with(Parameters.LORAS, loras.get(number));
  }

  private SortedMap<String, Path> write(Subject subject, Path folder) throws IOException {
    Path own = Files.createDirectories(folder.resolve(subject.folder().getFileName()));
    SortedMap<String, Path> files = new TreeMap<>();
    try (TensorStore unet = ModelFolder.open(subject.folder()).component("unet").open()) {
      for (int i = 0; i < rows; i++) {
        Path file = own.resolve("lora-" + i + ".safetensors");
        Random random = new Random(i);
        HeapTensors.Builder tensors = HeapTensors.builder();
        for (String name : unet.names()) {
          if (name.matches(LAYERS)) {
            add(
                tensors,
                name.substring(0, name.length() - ".weight".length()),
                unet.info(name).shape(),
                random);
          }
        }
        SafetensorsWriter.write(file, tensors.build(), Map.of("format", "pt"));
        files.put("lora-" + i, file);
      }
    }
    return files;
  }

  private void add(HeapTensors.Builder tensors, String layer, long[] shape, Random random) {
    long[] down = shape.clone();
    long[] up = shape.clone();
    down[0] = rank;
    up[1] = rank;
    tensors.add("unet." + layer + ".lora_A.weight", numbers(down, random), down);
    tensors.add("unet." + layer + ".lora_B.weight", numbers(up, random), up);
  }

  private static float[] numbers(long[] shape, Random random) {
    int size = 1;
    for (long each : shape) {
      size = Math.toIntExact(size * each);
    }
    float[] numbers = new float[size];
    for (int i = 0; i < size; i++) {
      numbers[i] = (float) (0.01 * random.nextGaussian());
    }
    return numbers;
  }
}
