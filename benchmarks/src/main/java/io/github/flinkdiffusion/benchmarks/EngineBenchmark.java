/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** P1: pictures of small models, texts to pixels, in this process and in diffusers. */
@Command(
    name = "engine",
    mixinStandardHelpOptions = true,
    description = "Small models from prompt to pixels, batch 1 and 8, beside diffusers.")
final class EngineBenchmark extends BenchmarkCommand {
  private static final String PEER = "diffusers";
  private static final double GUIDANCE = 5;

  /** A model folder that comes with the project, and what is asked of it. */
  private sealed interface SmallModel {
    String name();

    /** Below the project's. */
    String folder();

    /** What differs between models in a request. */
    GenerationSpec spec(GenerationSpec plain) throws IOException;

    /** The peer's command that opens it. */
    String opener();

    /** The peer's command that makes pictures. */
    String maker();

    /** What the command needs besides seeds and steps. */
    Map<String, ?> arguments(List<GenerationRequest> requests) throws IOException;
  }

  /**
   * @param side of its pictures in pixels
   * @param prompt that it knows
   */
  private record FromText(String name, String folder, int side, String prompt)
      implements SmallModel {
    @Override
    public GenerationSpec spec(GenerationSpec plain) {
      return plain
          .with(Parameters.PROMPT, prompt)
          .with(Parameters.GUIDANCE_SCALE, GUIDANCE)
          .with(Parameters.WIDTH, (long) side)
          .with(Parameters.HEIGHT, (long) side);
    }

    @Override
    public String opener() {
      return "open_pipeline";
    }

    @Override
    public String maker() {
      return "generate";
    }

    @Override
    public Map<String, ?> arguments(List<GenerationRequest> requests) {
      GenerationRequest first = requests.get(0);
      return Map.of(
          "prompts", requests.stream().map(each -> each.get(Parameters.PROMPT)).toList(),
          "guidance", first.guidanceScale(),
          "width", first.width(),
          "height", first.height());
    }
  }

  /**
   * @param input one of its example inputs, below its folder
   * @param part of it that is used
   */
  private record FromImage(String name, String folder, String input, Window part)
      implements SmallModel {
    @Override
    public GenerationSpec spec(GenerationSpec plain) throws IOException {
      Path file = RunOptions.home().resolve(folder).resolve(input);
      Raster image = Images.read(Files.readAllBytes(file), ReadOptions.DEFAULT).crop(part);
      return plain.with(
          Parameters.IMAGE,
          new Raster(image.channels(), image.height(), image.width(), image.data()));
    }

    @Override
    public String opener() {
      return "open_concat";
    }

    @Override
    public String maker() {
      return "generate_concat";
    }

    @Override
    public Map<String, ?> arguments(List<GenerationRequest> requests) throws IOException {
      Raster image = requests.get(0).get(Parameters.IMAGE);
      ByteBuffer values =
          ByteBuffer.allocate(image.data().length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      values.asFloatBuffer().put(image.data());
      Path file = Files.createTempFile("image", ".f32");
      file.toFile().deleteOnExit();
      Files.write(file, values.array());
      return Map.of(
          "image",
          file.toString(),
          "shape",
          List.of(image.channels(), image.height(), image.width()));
    }
  }

  /**
   * @param pictures of one call
   * @param goal of the speed over diffusers
   */
  private record Batch(int pictures, double goal) {}

  private static final List<SmallModel> MODELS =
      List.of(
          new FromText(
              "mini-emoji",
              "examples/models/mini-emoji",
              64,
              "a large red apple on a blue background"),
          new FromText(
              "tiny-sd1",
              "flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1",
              64,
              "a red circle"),
          new FromImage(
              "mini-satellite-x4",
              "examples/models/mini-satellite-x4",
              "inputs/mediterranean.tif",
              new Window(0, 0, 32, 32)),
          new FromImage(
              "mini-brain-mask",
              "examples/models/mini-brain-mask",
              "inputs/slice-60.png",
              new Window(0, 0, 181, 217)));

  private static final List<Batch> BATCHES = List.of(new Batch(1, 1.5), new Batch(8, 1.2));

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = "Inference steps (default: ${DEFAULT-VALUE}; 2 with --smoke).")
  private int steps = 20;

  @Option(
      names = "--engines",
      paramLabel = "NAME",
      split = ",",
      description = "Engines of ours (default: ${DEFAULT-VALUE}).")
  private List<String> engines = List.of(Engines.ONNX_RUNTIME, Engines.PYTORCH);

  @Option(
      names = "--precisions",
      paramLabel = "NAME",
      split = ",",
      description =
          "In what ours computes (default: ${DEFAULT-VALUE}); beside diffusers in float32, each with"
              + " the signal to noise ratio of its images over the first one's.")
  private List<Precision> precisions = List.of(Precision.FLOAT32);

  @Option(
      names = "--models",
      paramLabel = "NAME",
      split = ",",
      description = "Which of the models (default: all).")
  private List<String> models = MODELS.stream().map(SmallModel::name).toList();

  @Option(
      names = "--device",
      paramLabel = "NAME",
      description = "auto, cpu or gpu:N, for both sides (default: ${DEFAULT-VALUE}).")
  private String deviceName = "cpu";

  @Override
  protected BenchmarkResult.Builder measure() throws Exception {
    if (options().smoke()) {
      steps = 2;
    }
    BenchmarkResult.Builder result =
        new BenchmarkResult.Builder(
            "Engine: small models, prompt to pixels",
            """
            The same model folder, prompts, seeds, %d steps of the folder's scheduler and guidance %s in this process and
            in diffusers, in float32: from texts to pixels in memory, with text encoding and decoding, without image
            files. `mini-emoji` is the trained model that comes with the project, `tiny-sd1` a Stable Diffusion 1.x of
            the same blocks with random weights and a few channels: it shows what surrounds the arithmetic.
            `mini-satellite-x4` (32 x 32 pixels to 128 x 128) and `mini-brain-mask` (a slice of a head) are the trained models
            that see an image as channels behind the sample, a batch being samples of one image; diffusers has their network
            and scheduler but no pipeline, so the peer is these in the loop of its DDIMPipeline.
            """
                .formatted(steps, Tables.number(GUIDANCE)));
    DeviceSpec device = Engines.standard().device(deviceName);
    if (options().python().isEmpty()) {
      result.note("diffusers was not measured: no --python was given.");
      measure(result, device, null);
      return result;
    }
    try (PythonPeer peer =
        PythonPeer.start(options().python().get(), RunInfo.configuredThreads())) {
      peer.versions().forEach(this::version);
      measure(result, device, peer);
    }
    return result;
  }

  private void measure(BenchmarkResult.Builder result, DeviceSpec device, PythonPeer peer)
      throws Exception {
    Map<String, List<Double>> bars = new LinkedHashMap<>();
    List<String> scenarios = new ArrayList<>();
    for (String name : models) {
      SmallModel model =
          MODELS.stream()
              .filter(each -> each.name().equals(name))
              .findFirst()
              .orElseThrow(
                  () ->
                      new BenchmarkException(
                          "--models: there is no '%s'; there are %s."
                              .formatted(name, MODELS.stream().map(SmallModel::name).toList())));
      Path folder = RunOptions.home().resolve(model.folder());
      Map<String, DiffusionPipeline> ours = new LinkedHashMap<>();
      try {
        for (Precision precision : precisions) {
          for (String engine : engines) {
            ours.put(
                precision == Precision.FLOAT32 ? engine : engine + ", " + precision,
                Pipelines.open(
                    folder,
                    PipelineSettings.on(device).withEngine(engine).withPrecision(precision)));
          }
        }
        if (peer != null) {
          peer.ask(
              model.opener(),
              Map.of(
                  "name",
                  model.name(),
                  "folder",
                  folder.toString(),
                  "dtype",
                  device.isGpu() ? "FLOAT16" : "FLOAT32",
                  "device",
                  device.isGpu() ? "cuda:" + device.gpu() : "cpu"));
        }
        for (Batch batch : BATCHES) {
          measure(result, model, batch, ours, peer, scenarios, bars);
        }
        if (peer != null) {
          peer.ask("close", Map.of("name", model.name()));
        }
      } finally {
        ours.values().forEach(DiffusionPipeline::close);
      }
    }
    result.add(
        Plot.bars(
            "Small models: seconds a picture",
            "",
            "seconds a picture, less is better",
            scenarios,
            bars.entrySet().stream()
                .map(each -> new Plot.Series(each.getKey(), List.of(), each.getValue()))
                .toList()));
  }

  /** Of one model and batch. */
  private void measure(
      BenchmarkResult.Builder result,
      SmallModel model,
      Batch batch,
      Map<String, DiffusionPipeline> ours,
      PythonPeer peer,
      List<String> scenarios,
      Map<String, List<Double>> bars)
      throws Exception {
    String scenario = "%s, batch %d".formatted(model.name(), batch.pictures());
    scenarios.add(scenario);
    Map<String, Callable<Double>> subjects = new LinkedHashMap<>();
    Map<String, List<GenerationRequest>> requests = new LinkedHashMap<>();
    for (Map.Entry<String, DiffusionPipeline> our : ours.entrySet()) {
      List<GenerationRequest> asked = requests(our.getValue(), model, batch.pictures());
      requests.put(our.getKey(), asked);
      subjects.put(
          our.getKey(), () -> Rounds.seconds(() -> make(our.getValue(), asked)) / asked.size());
    }
    if (precisions.size() > 1 && batch.pictures() > 1) {
      signalToNoise(ours, requests)
          .forEach((name, ratio) -> result.note(scenario + ", " + name + ": " + ratio));
    }
    if (peer != null) {
      List<GenerationRequest> any = requests.values().iterator().next();
      subjects.put(PEER, () -> peer.seconds(model.maker(), command(model, any, "")) / any.size());
      for (Map.Entry<String, DiffusionPipeline> our : ours.entrySet()) {
        result.note(
            difference(
                scenario + ", " + our.getKey(),
                our.getValue(),
                requests.get(our.getKey()),
                peer,
                model));
      }
    }
    Map<String, Measurement> measured =
        options().rounds().alternate(scenario, "s/picture", subjects);
    measured.values().forEach(result::add);
    measured.forEach(
        (name, each) ->
            bars.computeIfAbsent(name, key -> new ArrayList<>()).add(each.summary().median()));
    if (peer != null) {
      for (String name : ours.keySet()) {
        result.add(
            Finding.ratio(
                "speed of %s over %s".formatted(name, PEER),
                measured.get(PEER),
                measured.get(name),
                Goal.atLeast(batch.goal())));
      }
    }
  }

  private List<GenerationRequest> requests(DiffusionPipeline pipeline, SmallModel model, int count)
      throws IOException {
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      requests.add(
          pipeline
              .model()
              .prepare(
                  model.spec(
                      GenerationSpec.of("picture " + i)
                          .with(Parameters.SEED, (long) i)
                          .with(Parameters.STEPS, (long) steps))));
    }
    return requests;
  }

  private static List<GeneratedImage> make(
      DiffusionPipeline pipeline, List<GenerationRequest> requests) {
    List<Trajectory> trajectories = pipeline.start(requests);
    while (!trajectories.get(0).done()) {
      pipeline.step(trajectories);
    }
    return pipeline.finish(trajectories);
  }

  /** Of each pipeline's images over the first one's, whose values are 0 to 1. */
  private static Map<String, String> signalToNoise(
      Map<String, DiffusionPipeline> ours, Map<String, List<GenerationRequest>> requests) {
    Map<String, String> ratios = new LinkedHashMap<>();
    List<GeneratedImage> first = null;
    for (Map.Entry<String, DiffusionPipeline> our : ours.entrySet()) {
      List<GeneratedImage> images = make(our.getValue(), requests.get(our.getKey()));
      if (first == null) {
        first = images;
        continue;
      }
      double squares = 0;
      long values = 0;
      for (int i = 0; i < images.size(); i++) {
        float[] a = first.get(i).image().data();
        float[] b = images.get(i).image().data();
        for (int k = 0; k < a.length; k++) {
          squares += (a[k] - b[k]) * (a[k] - b[k]);
        }
        values += a.length;
      }
      ratios.put(
          our.getKey(),
          "PSNR %s dB over %s, %d images."
              .formatted(
                  Tables.number(-10 * Math.log10(squares / values)),
                  ours.keySet().iterator().next(),
                  images.size()));
    }
    return ratios;
  }

  private static Map<String, ?> command(
      SmallModel model, List<GenerationRequest> requests, String output) throws IOException {
    Map<String, Object> command = new LinkedHashMap<>(model.arguments(requests));
    command.put("name", model.name());
    command.put("seeds", requests.stream().map(GenerationRequest::seed).toList());
    command.put("steps", requests.get(0).steps());
    command.put("output", output);
    return command;
  }

  /** Fast is worth something only if both make the same pictures. */
  private static String difference(
      String scenario,
      DiffusionPipeline pipeline,
      List<GenerationRequest> requests,
      PythonPeer peer,
      SmallModel model)
      throws IOException {
    Path file = Files.createTempFile("pictures", ".f32");
    try {
      peer.seconds(model.maker(), command(model, requests, file.toString()));
      FloatBuffer theirs =
          ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
      double greatest = 0;
      for (GeneratedImage image : make(pipeline, requests)) {
        for (float value : image.image().data()) {
          greatest = Math.max(greatest, Math.abs(value - theirs.get()));
        }
      }
      return "%s: the two sides' pictures differ by at most %s of a pixel's 256 levels."
          .formatted(scenario, Tables.number(greatest * 255));
    } finally {
      Files.delete(file);
    }
  }
}
