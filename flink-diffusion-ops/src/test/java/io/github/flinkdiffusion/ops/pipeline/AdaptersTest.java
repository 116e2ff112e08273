/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static io.github.flinkdiffusion.ops.pipeline.SmallRequests.alone;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.NativeMemory;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.Lora;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Predicate;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Requests that name LoRAs share calls, and get the images of models with these merged in. */
@Tag("names-its-engine")
class AdaptersTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");

  /** Of the same numbers, added up in another order. */
  private static final double ROUNDING = 1e-4;

  private static final double MERGED = 1e-3;

  private static final String LAYERS =
      ".*(attn[12]\\.to_(q|k|v|out\\.0)|ff\\.net\\.(0\\.proj|2)|proj_in|proj_out|time_emb_proj"
          + "|conv_shortcut|resnets\\.\\d\\.conv[12]|upsamplers\\.0\\.conv|conv_in|conv_out"
          + "|time_embedding\\.linear_1|add_embedding\\.linear_2)\\.weight";

  @TempDir private static Path temp;

  /** By model and name. */
  private static final Map<String, SortedMap<String, Path>> FILES = new TreeMap<>();

  /**
   * Of tiny-sd1, with few layers: a session with side paths at all layers takes seconds to open.
   */
  private static final SortedMap<String, Path> SMALL = new TreeMap<>();

  @BeforeAll
  static void write() {
    for (String model : List.of("tiny-sd1", "tiny-sdxl")) {
      SortedMap<String, Path> files = new TreeMap<>();
      for (int i = 0; i < 8; i++) {
        Path file = temp.resolve(model + "-" + i + ".safetensors");
        int part = i;
        // Some change all layers, others some of them, by ranks of their own.
        Predicate<String> changed =
            name ->
                name.matches(LAYERS)
                    && (part % 3 == 0 || part % 3 == 1 == name.contains("transformer_blocks"));
        write(file, model, i, 1 + i % 4, changed);
        files.put("lora-" + i, file);
      }
      FILES.put(model, files);
    }
    for (int i = 0; i < 3; i++) {
      Path file = temp.resolve("small-" + i + ".safetensors");
      write(
          file,
          "tiny-sd1",
          i,
          1 + i,
          name -> name.matches("down_blocks\\.\\d\\.attentions.*attn1\\.to_q\\.weight"));
      SMALL.put("lora-" + i, file);
    }
  }

  private static void write(
      Path file, String model, int seed, int rank, Predicate<String> changed) {
    Random random = new Random(seed);
    HeapTensors.Builder tensors = HeapTensors.builder();
    try (TensorStore unet = ModelFolder.open(MODELS.resolve(model)).component("unet").open()) {
      for (String name : unet.names()) {
        if (changed.test(name)) {
          String path = "unet." + name.substring(0, name.length() - ".weight".length());
          long[] shape = unet.info(name).shape();
          long[] down = shape.clone();
          down[0] = rank;
          long[] up =
              shape.length == 2 ? new long[] {shape[0], rank} : new long[] {shape[0], rank, 1, 1};
          add(tensors, path + ".lora_A.weight", random, down, 1 / Math.sqrt(elements(down) / rank));
          add(tensors, path + ".lora_B.weight", random, up, 0.1);
        }
      }
    }
    SafetensorsWriter.write(file, tensors.build(), Map.of("format", "pt"));
  }

  private static void add(
      HeapTensors.Builder tensors, String name, Random random, long[] shape, double deviation) {
    float[] values = new float[(int) elements(shape)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (deviation * random.nextGaussian());
    }
    tensors.add(name, values, shape);
  }

  private static long elements(long[] shape) {
    long all = 1;
    for (long size : shape) {
      all *= size;
    }
    return all;
  }

  private static PipelineSettings settings(String engine) {
    return PipelineSettings.on(DeviceSpec.CPU).withEngine(engine);
  }

  private static DiffusionPipeline open(String model, String engine, int resident) {
    return Pipelines.open(
        MODELS.resolve(model),
        settings(engine).withAdapters(new AdapterSettings(FILES.get(model), resident)));
  }

  private static DiffusionPipeline openSmall() {
    return Pipelines.open(
        MODELS.resolve("tiny-sd1"),
        settings(Engines.ONNX_RUNTIME).withAdapters(new AdapterSettings(SMALL, 8)));
  }

  private static GenerationSpec spec(String id) {
    return GenerationSpec.of(id)
        .with(Parameters.PROMPT, "a table")
        .with(Parameters.STEPS, 3L)
        .with(Parameters.SEED, 7L)
        // Random weights and much guidance make a rounding a hundred times as large.
        .with(Parameters.GUIDANCE_SCALE, 2.0)
        .with(Parameters.WIDTH, 32L)
        .with(Parameters.HEIGHT, 32L);
  }

  private static Raster merged(String model, String engine, Lora... loras) {
    try (DiffusionPipeline pipeline =
        Pipelines.open(MODELS.resolve(model), settings(engine).withLoras(List.of(loras)))) {
      return alone(pipeline, spec("merged"));
    }
  }

  @ParameterizedTest
  @CsvSource({"tiny-sd1,onnxruntime,2", "tiny-sdxl,pytorch,1"})
  void eightInOneBatchEqualMergedOnes(String model, String engine, int compared) {
    compareWithMerged(model, engine, compared);
  }

  /** The same of every family on every engine, and of all eight. */
  @ParameterizedTest
  @CsvSource({
    "tiny-sd1,onnxruntime,8",
    "tiny-sd1,pytorch,8",
    "tiny-sdxl,onnxruntime,8",
    "tiny-sdxl,pytorch,8"
  })
  @Tag("nightly")
  void eightInOneBatchEqualAllMergedOnes(String model, String engine, int compared) {
    compareWithMerged(model, engine, compared);
  }

  private void compareWithMerged(String model, String engine, int compared) {
    SortedMap<String, Path> files = FILES.get(model);
    try (DiffusionPipeline pipeline = open(model, engine, 3)) {
      Map<String, GenerationSpec> specs = new LinkedHashMap<>();
      Map<String, Raster> expected = new LinkedHashMap<>();
      Raster plain = merged(model, engine);
      specs.put("none", spec("none"));
      expected.put("none", plain);
      double scale = 0.5;
      for (Map.Entry<String, Path> each : files.entrySet()) {
        String text = each.getKey() + ":" + scale;
        specs.put(text, spec(text).with(Parameters.LORAS, text));
        if (expected.size() <= compared) {
          expected.put(text, merged(model, engine, new Lora(each.getValue(), scale)));
        }
        scale += 0.1;
      }
      String two = "lora-3:-0.4,lora-6";
      specs.put(two, spec(two).with(Parameters.LORAS, two));
      expected.put(
          two,
          merged(
              model,
              engine,
              new Lora(files.get("lora-3"), -0.4),
              new Lora(files.get("lora-6"), 1)));
      List<Trajectory> all =
          pipeline.start(specs.values().stream().map(pipeline.model()::prepare).toList());
      while (!all.get(0).done()) {
        assertThat(all.stream().map(Trajectory::batchKey).distinct()).hasSize(1);
        pipeline.step(all);
        all = pipeline.restore(all.stream().map(Trajectory::snapshot).toList());
      }
      List<GeneratedImage> images = pipeline.finish(all);
      int i = 0;
      for (String text : specs.keySet()) {
        Raster image = images.get(i++).image();
        if (expected.containsKey(text)) {
          assertThat(FolderCase.distance(image, expected.get(text))).as(text).isLessThan(MERGED);
        }
        assertThat(FolderCase.distance(image, alone(pipeline, specs.get(text))))
            .as(text + " alone")
            .isLessThan(ROUNDING);
        assertThat(FolderCase.distance(image, plain))
            .as(text + " and none")
            .matches(far -> text.equals("none") ? far < ROUNDING : far > 0.01);
      }
    }
  }

  /** Lengths of rows that a LoRA of DoRA sets, alone and behind or before one that sets none. */
  @Test
  void loraWithMagnitudesEqualMergedOnes() {
    Path loras = Path.of("src/test/resources/fixtures/lora");
    SortedMap<String, Path> files = new TreeMap<>();
    files.put("dora", loras.resolve("kohya-dora.safetensors"));
    files.put("lora", loras.resolve("kohya-sd1.safetensors"));
    Map<String, List<Lora>> cases = new LinkedHashMap<>();
    Lora dora = new Lora(files.get("dora"), 0.8);
    Lora lora = new Lora(files.get("lora"), 0.7);
    cases.put("dora:0.8", List.of(dora));
    cases.put("lora:0.7,dora:0.8", List.of(lora, dora));
    cases.put("dora:0.8,lora:0.7", List.of(dora, lora));
    cases.put("lora:0.7", List.of(lora));
    try (DiffusionPipeline pipeline =
        Pipelines.open(
            MODELS.resolve("tiny-sd1"),
            settings(Engines.ONNX_RUNTIME).withAdapters(new AdapterSettings(files, 3)))) {
      List<Trajectory> all =
          pipeline.start(
              cases.keySet().stream()
                  .map(text -> spec(text).with(Parameters.LORAS, text))
                  .map(pipeline.model()::prepare)
                  .toList());
      while (!all.get(0).done()) {
        pipeline.step(all);
      }
      List<GeneratedImage> images = pipeline.finish(all);
      int i = 0;
      for (Map.Entry<String, List<Lora>> each : cases.entrySet()) {
        Raster merged =
            merged("tiny-sd1", Engines.ONNX_RUNTIME, each.getValue().toArray(Lora[]::new));
        assertThat(FolderCase.distance(images.get(i++).image(), merged))
            .as(each.getKey())
            .isLessThan(MERGED);
      }
    }
  }

  @Test
  void aRequestSaysWhichFilesItHad() {
    try (DiffusionPipeline pipeline = openSmall()) {
      GenerationSpec spec = spec("one").with(Parameters.LORAS, "lora-1:0.50, lora-2");
      String said = pipeline.model().prepare(spec).get(Parameters.LORAS);
      assertThat(said).matches("lora-1:0\\.5@[0-9a-f]{64},lora-2:1\\.0@[0-9a-f]{64}");
      long one =
          pipeline
              .model()
              .rowBytes(pipeline.model().prepare(spec("x").with(Parameters.LORAS, "lora-1")));
      // Ranks 2 and 3: what a row brings to a call grows with them.
      assertThat(one).isPositive();
      assertThat(2 * pipeline.model().rowBytes(pipeline.model().prepare(spec))).isEqualTo(5 * one);
      assertThat(pipeline.model().rowBytes(pipeline.model().prepare(spec("none")))).isZero();
      GenerationSpec again = spec("again").with(Parameters.LORAS, said);
      assertThat(pipeline.model().prepare(again).get(Parameters.LORAS)).isEqualTo(said);
    }
  }

  @Test
  void aPromptInTheWebUisLanguageNamesThem() {
    try (DiffusionPipeline pipeline = openSmall()) {
      GenerationSpec web = spec("web").with(Parameters.PROMPT_LANGUAGE, "a1111");
      GenerationSpec named = web.with(Parameters.LORAS, "lora-1:0.5,lora-2");
      GenerationSpec inPrompt =
          web.with(Parameters.PROMPT, "<lora:lora-2>a table").with(Parameters.LORAS, "lora-1:0.5");
      GenerationRequest request = pipeline.model().prepare(inPrompt);
      assertThat(request.get(Parameters.LORAS))
          .isEqualTo(pipeline.model().prepare(named).get(Parameters.LORAS));
      assertThat(request.get(Parameters.PROMPT)).isEqualTo("a table");
      assertThat(FolderCase.distance(alone(pipeline, inPrompt), alone(pipeline, named)))
          .isLessThan(ROUNDING);
      Map<String, String> refused = new LinkedHashMap<>();
      refused.put("a <lora:other:1>", "loras has 'other', which this job does not allow");
      refused.put("a <lora:lora-1:x>", "loras is 'lora-1:x'; it must be");
      refused.put("a <lora:lora-1:1:0.5>", "The prompt has '<lora:lora-1:1:0.5>'; accepted is");
      refused.put("a <lora:lora-1><lora:lora-1>", "loras is 'lora-1:1,lora-1:1'; it must be");
      refused.forEach(
          (text, message) ->
              assertThatThrownBy(() -> pipeline.model().prepare(web.with(Parameters.PROMPT, text)))
                  .isInstanceOf(InvalidRequestException.class)
                  .hasMessageStartingWith(message));
    }
  }

  @Test
  void refusesWhatIsNotAllowedByName() {
    try (DiffusionPipeline pipeline = openSmall()) {
      Map<String, String> refused = new LinkedHashMap<>();
      refused.put(
          "other:0.5", "loras has 'other', which this job does not allow; it allows lora-0");
      refused.put("../file", "loras is ../file; it must be one to 8 different names");
      refused.put("lora-1:x", "loras is lora-1:x; it must be");
      refused.put("lora-1:NaN", "loras is lora-1:NaN; it must be");
      refused.put("lora-1,lora-1:2", "loras is lora-1,lora-1:2; it must be");
      refused.put("", "loras is ; it must be");
      refused.put(
          "lora-1:1@" + "0".repeat(64), "loras has 'lora-1' with the digest " + "0".repeat(64));
      refused.forEach(
          (text, message) ->
              assertThatThrownBy(
                      () -> pipeline.model().prepare(spec("x").with(Parameters.LORAS, text)))
                  .isInstanceOf(InvalidRequestException.class)
                  .hasMessageStartingWith(message));
    }
    try (DiffusionPipeline plain =
        Pipelines.open(MODELS.resolve("tiny-sd1"), settings(Engines.ONNX_RUNTIME))) {
      assertThatThrownBy(() -> plain.model().prepare(spec("x").with(Parameters.LORAS, "lora-1")))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageStartingWith("The request has loras, which StableDiffusionPipeline");
    }
  }

  @Test
  void refusesFilesThatCannotBeNamed() throws IOException {
    Path embedding = temp.resolve("embedding.safetensors");
    HeapTensors.Builder tensors = HeapTensors.builder();
    String table = "text_encoder.text_model.embeddings.position_embedding";
    long[] shape;
    try (TensorStore text =
        ModelFolder.open(MODELS.resolve("tiny-sd1")).component("text_encoder").open()) {
      shape = text.info(table.substring(table.indexOf('.') + 1) + ".weight").shape();
    }
    tensors.add(table + ".lora_A.weight", new float[(int) shape[1]], 1, shape[1]);
    tensors.add(table + ".lora_B.weight", new float[(int) shape[0]], shape[0], 1);
    SafetensorsWriter.write(embedding, tensors.build(), Map.of("format", "pt"));
    Map<Path, String> refused = new LinkedHashMap<>();
    refused.put(embedding, "position_embedding.weight is not the weight of a linear layer");
    refused.put(FILES.get("tiny-sdxl").get("lora-0"), "do not make the weight");
    refused.forEach(
        (file, message) ->
            assertThatThrownBy(() -> open("tiny-sd1", file))
                .isInstanceOf(WeightsException.class)
                .hasMessageContaining(message));
    assertThatThrownBy(
            () ->
                Pipelines.open(
                    MODELS.resolve("tiny-sd1"),
                    settings(Engines.ONNX_RUNTIME)
                        .withCaching(new Caching(2, 0, 1 << 20))
                        .withAdapters(new AdapterSettings(FILES.get("tiny-sd1"), 8))))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("diffusion.loras.allowed");
  }

  private static DiffusionPipeline open(String model, Path file) {
    return Pipelines.open(
        MODELS.resolve(model),
        settings(Engines.ONNX_RUNTIME)
            .withAdapters(new AdapterSettings(new TreeMap<>(Map.of("one", file)), 8)));
  }

  @Test
  void aFileThatWasReplacedIsRefused() throws IOException {
    Path file = temp.resolve("replaced.safetensors");
    Files.copy(SMALL.get("lora-0"), file);
    SortedMap<String, Path> files = new TreeMap<>(SMALL);
    files.put("replaced", file);
    List<TrajectorySnapshot> saved = new ArrayList<>();
    GenerationSpec spec = spec("one").with(Parameters.LORAS, "replaced");
    PipelineSettings settings =
        settings(Engines.ONNX_RUNTIME).withAdapters(new AdapterSettings(files, 1));
    try (DiffusionPipeline pipeline = Pipelines.open(MODELS.resolve("tiny-sd1"), settings)) {
      List<Trajectory> one = pipeline.start(List.of(pipeline.model().prepare(spec)));
      saved.add(one.get(0).snapshot());
      assertThat(pipeline.model().info().digest()).hasSize(64); // known before it is closed
      pipeline.step(one);
      // Another one takes its place in memory.
      alone(pipeline, spec("other").with(Parameters.LORAS, "lora-1"));
      Path other = temp.resolve("other.safetensors");
      Files.copy(SMALL.get("lora-2"), other);
      Files.move(other, file, StandardCopyOption.REPLACE_EXISTING);
      assertThatThrownBy(() -> pipeline.step(one))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageStartingWith("loras has 'replaced', whose file cannot be used any more")
          .hasMessageContaining("was replaced while it was in use");
    }
    try (DiffusionPipeline pipeline = Pipelines.open(MODELS.resolve("tiny-sd1"), settings)) {
      assertThatThrownBy(() -> pipeline.restore(saved))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageStartingWith("loras has 'replaced' with the digest");
    }
  }

  @Test
  @Tag("nightly")
  void aThousandChangesTakeNoMemory() throws IOException {
    SortedMap<String, Path> files = new TreeMap<>();
    for (int i = 0; i < 16; i++) {
      files.put("file-" + i, FILES.get("tiny-sd1").get("lora-" + i % 8));
    }
    try (DiffusionPipeline pipeline =
        Pipelines.open(
            MODELS.resolve("tiny-sd1"),
            settings(Engines.ONNX_RUNTIME).withAdapters(new AdapterSettings(files, 8)))) {
      change(pipeline, 100);
      long before = resident();
      change(pipeline, 1000);
      long grown = resident() - before;
      // 0.1 MB a change.
      assertThat(grown).isLessThan(100 * 1024);
    }
  }

  /** One call each, of a LoRA that has left the memory since its last one. */
  private static void change(DiffusionPipeline pipeline, int times) {
    for (int i = 0; i < times; i++) {
      GenerationSpec spec = spec("change").with(Parameters.LORAS, "file-" + i % 16);
      pipeline.step(pipeline.start(List.of(pipeline.model().prepare(spec))));
    }
  }

  private static long resident() throws IOException {
    System.gc();
    NativeMemory.ofProcess().giveBackFree();
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("VmRSS:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
        .findFirst()
        .orElseThrow();
  }
}
