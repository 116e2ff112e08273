/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.batching.BatchingException;
import io.github.flinkdiffusion.ops.credentials.TestCertificates;
import io.github.flinkdiffusion.ops.fakes.FakeUpscalers;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.operator.ImageDeciders.Change;
import io.github.flinkdiffusion.ops.operator.ImageDeciders.Effect;
import io.github.flinkdiffusion.ops.operator.ImageDeciders.Needs;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelFolderPipelines;
import io.github.flinkdiffusion.ops.serving.ModelSettings;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every option changes while a request is under way: the request is saved midway, the job starts
 * again with another value, and what {@link ImageDeciders} says becomes of the request.
 */
@Tag("names-its-engine")
class InFlightChangesTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final Path MODELS = FIXTURES.resolve("models");

  /** A level of eight bits: rows of another batch add up in another order. */
  private static final Offset<Float> CLOSE = Offset.offset(1.01f / 255);

  @TempDir private static Path temp;

  /** What the table's places in braces are, whatever the request is. */
  private static final Map<String, String> FILES = new HashMap<>();

  private static final Map<String, Kind> KINDS = new TreeMap<>();

  /** One kind of request, whose model stays loaded while its changes are tried. */
  private static final class Kind implements AutoCloseable {
    final String name;
    final Map<String, String> places;
    final Map<String, String> base;
    final Starting starting;
    final ManualDevices devices = new ManualDevices();
    final Map<Map<String, String>, Saved> saved = new HashMap<>();

    Kind(String name, Map<String, String> places, Map<String, String> base, Starting starting) {
      this.name = name;
      this.places = new HashMap<>(FILES);
      this.places.putAll(places);
      this.base = base;
      this.starting = starting;
    }

    private Configuration config(Map<String, String> settings) {
      Map<String, String> all = new HashMap<>(base);
      all.putAll(settings);
      all.putIfAbsent("diffusion.batch.rows", "16");
      all.replaceAll((key, value) -> filled(value));
      return Configuration.fromMap(all);
    }

    private String filled(String value) {
      String filled = value;
      for (Map.Entry<String, String> place : places.entrySet()) {
        filled = filled.replace("{" + place.getKey() + "}", place.getValue());
      }
      return filled;
    }

    boolean can(Change change) {
      return Stream.concat(change.before().values().stream(), change.after().values().stream())
          .noneMatch(value -> filled(value).contains("{"));
    }

    InProgress start(Map<String, String> settings) throws Exception {
      return starting.start(config(settings), devices);
    }

    /** Begun with these settings, saved when two steps are done, and then gone on undisturbed. */
    Saved saved(Map<String, String> settings) throws Exception {
      Saved before = saved.get(settings);
      if (before == null) {
        InProgress job = start(settings);
        job.begin();
        while (job.subtask().meters().steps.getCount() < 2) {
          assertThat(job.progress()).as("it works until it is saved").isTrue();
        }
        OperatorSubtaskState state = job.subtask().snapshot();
        job.settle();
        assertThat(job.subtask().failures()).isEmpty();
        before = new Saved(state, picture(job), job);
        saved.put(settings, before);
      }
      return before;
    }

    @Override
    public void close() throws Exception {
      for (Saved each : saved.values()) {
        each.job.close();
      }
    }
  }

  /** The job stays open, so that the next one finds its model loaded. */
  private record Saved(OperatorSubtaskState state, Raster undisturbed, InProgress job) {}

  private interface Starting {
    InProgress start(Configuration config, ManualDevices devices) throws Exception;
  }

  /** How a subtask gets its one request. */
  private interface Begin {
    void send() throws Exception;
  }

  /** A subtask with one request of either type. */
  private record InProgress(OperatorSubtask<?, ?, ?> subtask, ManualDevices devices, Begin request)
      implements AutoCloseable {

    void begin() throws Exception {
      subtask.open();
      request.send();
    }

    boolean progress() throws Exception {
      return subtask.progress(devices);
    }

    void settle() throws Exception {
      while (progress()) {
        // until all rest
      }
    }

    @Override
    public void close() throws Exception {
      subtask.close();
    }
  }

  // ------------------------------------------------------------------ kinds

  private static Starting prompts(PromptEvent event) {
    return (config, devices) -> {
      Subtask subtask =
          new Subtask(
              new ModelFolderPipelines(ModelSettings.of(config)),
              DiffusionSettings.of(config),
              devices.services);
      return new InProgress(subtask, devices, () -> subtask.harness.processElement(event, 0));
    };
  }

  private interface Opening {
    PipelineFactory of(Configuration config);
  }

  private static Starting tasks(
      Raster image, String prompt, Map<String, String> parameters, Opening opening) {
    return (config, devices) -> {
      ImageSubtask subtask =
          new ImageSubtask(opening.of(config), DiffusionSettings.of(config), devices);
      return new InProgress(
          subtask,
          devices,
          () ->
              subtask.task(
                  ImageTaskOperatorTest.task("a", image, "image/tiff")
                      .setPrompt(prompt)
                      .setParameters(parameters)
                      .setAttributes(Map.of("customer", "b"))
                      .build()));
    };
  }

  private static PromptEvent prompt(Map<String, String> parameters) {
    return PromptEvent.newBuilder()
        .setId("a")
        .setPrompt("a table")
        .setSeed(5L)
        .setAttributes(Map.of("customer", "b"))
        .setParameters(parameters)
        .build();
  }

  @BeforeAll
  static void write() throws Exception {
    TestCertificates.ed25519().write(temp.resolve("key.p12"), "secret".toCharArray());
    FILES.put("archives", temp.resolve("archives").toString());
    FILES.put("store", temp.resolve("store").toUri().toString());
    FILES.put("certificate", temp.resolve("key.p12").toString());
    FILES.put("password", file("password", "secret\n"));
    FILES.put("watermark key", file("watermark", "a secret of 16 bytes or more"));
    FILES.put("payload key", file("keys", "a " + "A".repeat(43) + "=\n"));
    FILES.put("phrases", file("phrases", "a table\n"));
    FILES.put("concepts", file("concepts", "0.1 a table\n"));
    FILES.put("clip", FIXTURES.resolve("quality/tiny-clip").toString());
    FILES.put("lora", FIXTURES.resolve("lora/kohya-sd1.safetensors").toString());
    FILES.put("other lora", FIXTURES.resolve("lora/kohya-no-alpha.safetensors").toString());

    Path sd = MODELS.resolve("tiny-sd1");
    Path checked = copy(sd, "checked");
    for (String part : List.of("safety_checker", "feature_extractor")) {
      copyInto(FIXTURES.resolve("safety/new").resolve(part), checked.resolve(part));
    }
    change(
        checked.resolve("model_index.json"),
        index -> {
          index
              .putArray("safety_checker")
              .add("stable_diffusion")
              .add("StableDiffusionSafetyChecker");
          index.putArray("feature_extractor").add("transformers").add("CLIPImageProcessor");
        });
    Path variants = copy(sd, "variants");
    try (Stream<Path> all = Files.walk(sd)) {
      for (Path weights : all.filter(each -> each.toString().endsWith(".safetensors")).toList()) {
        if (!weights.toString().contains("golden")) {
          Path at = variants.resolve(sd.relativize(weights));
          String plain = at.getFileName().toString();
          Files.copy(at, at.resolveSibling(plain.replace(".safetensors", ".fp16.safetensors")));
        }
      }
    }
    Map<String, String> ofSd =
        Map.of(
            "folder", sd.toString(),
            "other folder", otherFolder(sd).toString(),
            "checked folder", checked.toString(),
            "folder of variants", variants.toString(),
            "component", "text_encoder",
            "pipeline", "StableDiffusionImg2ImgPipeline",
            "scheduler", "DDIMScheduler",
            "other scheduler", "EulerDiscreteScheduler",
            "side", "32");
    KINDS.put(
        "text to image", new Kind("text to image", ofSd, base(sd), prompts(prompt(Map.of()))));
    KINDS.put(
        "image task",
        new Kind(
            "image task",
            Map.of("tile", "12", "overlap", "8", "bands", "1", "folder", "unused"),
            Map.of("diffusion.default.steps", "4"),
            tasks(
                ImageTaskOperatorTest.image(40, 37),
                "",
                Map.of(),
                config -> new FakeUpscalers(1, "digest"))));
  }

  /** Kinds of the long build, each opened when it is first tried. */
  private static Kind kind(String name) throws IOException {
    Kind known = KINDS.get(name);
    if (known == null) {
      known = opened(name);
      KINDS.put(name, known);
    }
    return known;
  }

  private static Kind opened(String name) throws IOException {
    Path sd = MODELS.resolve("tiny-sd1");
    return switch (name) {
      case "transformer" -> prompts(name, "tiny-sd3", Map.of(), Map.of());
      case "transformer that decides by a threshold" ->
          prompts(name, "tiny-sd3", Map.of(), Map.of());
      case "a LoRA by name" ->
          prompts(
              name,
              "tiny-sd1",
              Map.of("loras", "style:0.8"),
              Map.of("diffusion.loras.allowed", "style={lora}"));
      case "guidance inside the UNet" ->
          prompts(
              name,
              "tiny-sd1",
              Map.of("pagScale", "2"),
              Map.of("diffusion.unet-guidance.enabled", "true"));
      case "a single file" -> {
        Path folder = MODELS.resolve("tiny-sdxl");
        Map<String, String> places =
            Map.of(
                "configs", folder.toString(),
                "other configs", otherFolder(folder).toString());
        yield new Kind(
            name,
            places,
            base(FIXTURES.resolve("single-file/tiny-sdxl.safetensors")),
            prompts(prompt(Map.of())));
      }
      case "image to image" ->
          tasks(
              name,
              sd,
              rgb(32, 32),
              Map.of("strength", "1"),
              Map.of("diffusion.model.pipeline", "StableDiffusionImg2ImgPipeline"));
      case "upscale" ->
          tasks(name, MODELS.resolve("tiny-concat-upscale"), rgb(40, 40), Map.of(), Map.of());
      case "segmentation" ->
          tasks(
              name,
              MODELS.resolve("tiny-concat-segmentation"),
              ImageTaskOperatorTest.image(16, 12),
              Map.of(),
              Map.of());
      default -> throw new AssertionError(name);
    };
  }

  private static Kind prompts(
      String name, String model, Map<String, String> parameters, Map<String, String> more)
      throws IOException {
    Path folder = MODELS.resolve(model);
    Map<String, String> base = new HashMap<>(base(folder));
    base.putAll(more);
    Map<String, String> places = new HashMap<>();
    places.put("folder", folder.toString());
    if (!Files.exists(temp.resolve("other " + model))) {
      otherFolder(folder);
    }
    places.put("other folder", temp.resolve("other " + model).toString());
    places.put("component", "text_encoder");
    places.put("side", "32");
    return new Kind(name, places, base, prompts(prompt(parameters)));
  }

  private static Kind tasks(
      String name,
      Path folder,
      Raster image,
      Map<String, String> parameters,
      Map<String, String> more)
      throws IOException {
    Map<String, String> base = new HashMap<>(base(folder));
    base.putAll(more);
    Map<String, String> places = new HashMap<>();
    places.put("folder", folder.toString());
    Path other = temp.resolve("other " + folder.getFileName());
    places.put(
        "other folder", Files.exists(other) ? other.toString() : otherFolder(folder).toString());
    places.put("component", Files.exists(folder.resolve("vae")) ? "vae" : "unet");
    places.put("scheduler", "DDIMScheduler");
    places.put("other scheduler", "EulerDiscreteScheduler");
    places.put("bands", image.channels() == 1 ? "1" : "3;2;1");
    if (!name.equals("segmentation")) { // its image is small
      places.put("tile", "16");
    }
    return new Kind(
        name,
        places,
        base,
        tasks(
            image,
            Files.exists(folder.resolve("text_encoder")) ? "a table" : "",
            parameters,
            config -> new ModelFolderPipelines(ModelSettings.of(config))));
  }

  private static Raster rgb(int width, int height) {
    Raster gray = ImageTaskOperatorTest.image(width, 3 * height);
    return new Raster(3, height, width, gray.data());
  }

  private static Map<String, String> base(Path folder) {
    return Map.of(
        "diffusion.model.folder", folder.toString(),
        "diffusion.engine", "onnxruntime",
        "diffusion.device", "cpu",
        "diffusion.default.steps", "4");
  }

  private static String file(String name, String content) throws IOException {
    return Files.writeString(temp.resolve(name), content).toString();
  }

  private static Path copy(Path folder, String name) throws IOException {
    Path to = temp.resolve(name);
    copyInto(folder, to);
    return to;
  }

  private static void copyInto(Path from, Path to) throws IOException {
    try (Stream<Path> all = Files.walk(from)) {
      for (Path each : all.toList()) {
        if (!each.startsWith(from.resolve("golden"))) {
          Files.copy(each, to.resolve(from.relativize(each).toString()));
        }
      }
    }
  }

  private interface Edit {
    void of(ObjectNode json);
  }

  private static void change(Path file, Edit edit) throws IOException {
    ObjectMapper json = new ObjectMapper();
    ObjectNode content = (ObjectNode) json.readTree(file.toFile());
    edit.of(content);
    json.writeValue(file.toFile(), content);
  }

  /** The same weights with another schedule. */
  private static Path otherFolder(Path folder) throws IOException {
    Path other = copy(folder, "other " + folder.getFileName());
    change(
        other.resolve("scheduler/scheduler_config.json"),
        config -> {
          if (config.has("beta_end")) {
            config.put("beta_end", config.get("beta_end").asDouble() * 1.1);
          } else {
            config.put("shift", 2.5);
          }
        });
    return other;
  }

  @AfterAll
  static void close() throws Exception {
    for (Kind kind : KINDS.values()) {
      kind.close();
    }
    KINDS.clear();
  }

  // ------------------------------------------------------------------ trials

  private static Raster picture(InProgress job) {
    assertThat(job.subtask().images()).hasSize(1);
    Payload payload = Payloads.image(job.subtask().images().get(0));
    return Images.read(Payloads.inlineBytes(payload).orElseThrow(), ReadOptions.DEFAULT);
  }

  static Stream<Arguments> ofPrompts() {
    return ImageDeciders.all().stream()
        .filter(each -> each.needs() == Needs.NOTHING || each.needs() == Needs.A_MODEL)
        .map(each -> Arguments.of("text to image", each));
  }

  @ParameterizedTest
  @MethodSource("ofPrompts")
  void aPromptOnAModel(String kind, Change change) throws Exception {
    tryIt(KINDS.get(kind), change, change.prompt());
  }

  static Stream<Arguments> ofTasks() {
    return ImageDeciders.all().stream()
        .filter(each -> each.needs() == Needs.NOTHING)
        .map(each -> Arguments.of("image task", each));
  }

  @ParameterizedTest
  @MethodSource("ofTasks")
  void anImageTask(String kind, Change change) throws Exception {
    // The stand-in takes neither guidance nor a scheduler.
    boolean taken =
        !change.key().equals("diffusion.default.guidance-scale")
            && !change.key().equals("diffusion.default.scheduler");
    tryIt(KINDS.get(kind), change, taken ? change.task() : Effect.NOTHING);
  }

  /** By kind, the options that are about it, or all that any request has. */
  static Stream<Arguments> ofTheLongBuild() {
    Map<String, List<String>> own =
        Map.of(
            "transformer that decides by a threshold", List.of("diffusion.cache.threshold"),
            "a LoRA by name", List.of("diffusion.loras.allowed"),
            "guidance inside the UNet", List.of("diffusion.unet-guidance.enabled"),
            "a single file", List.of("diffusion.model.configs"));
    Stream<Arguments> ofOwn =
        new TreeMap<>(own)
            .entrySet().stream()
                .flatMap(
                    kind ->
                        ImageDeciders.all().stream()
                            .filter(change -> kind.getValue().contains(change.key()))
                            .map(change -> Arguments.of(kind.getKey(), change)));
    Stream<Arguments> ofAll =
        Stream.of("transformer", "image to image", "upscale", "segmentation")
            .flatMap(
                kind ->
                    ImageDeciders.all().stream()
                        .filter(change -> change.needs() != Needs.ITS_OWN_KIND)
                        .map(change -> Arguments.of(kind, change)));
    Stream<Arguments> slow =
        ImageDeciders.all().stream()
            .filter(change -> change.needs() == Needs.TIME)
            .map(change -> Arguments.of("text to image", change));
    return Stream.of(slow, ofOwn, ofAll).flatMap(each -> each);
  }

  @ParameterizedTest
  @MethodSource("ofTheLongBuild")
  @Tag("nightly")
  void everyKindOfRequest(String name, Change change) throws Exception {
    Kind kind = kind(name);
    boolean task = List.of("image to image", "upscale", "segmentation").contains(name);
    Effect effect = task ? change.task() : change.prompt();
    if (List.of("upscale", "segmentation").contains(name)
        && (change.key().equals("diffusion.default.guidance-scale")
            || change.key().startsWith("diffusion.safety."))) {
      effect = Effect.NOTHING; // they take neither guidance nor a prompt
    }
    try {
      tryIt(kind, change, effect);
    } catch (DiffusionException | BatchingException e) {
      // An option that has no use with this model is refused by name before the job starts.
      assertThat(change.needs()).isNotEqualTo(Needs.NOTHING);
      assertThat(e)
          .hasStackTraceContaining(REFUSED_BY_MODELS.getOrDefault(change.key(), "diffusion."));
    }
  }

  /** What a model without a use for an option says. */
  private static final Map<String, String> REFUSED_BY_MODELS =
      Map.of(
          "diffusion.model.loras", "LoRA",
          "diffusion.cache.interval", "diffusion.cache.",
          "diffusion.cache.branch", "diffusion.cache.",
          "diffusion.cache.memory", "diffusion.cache.");

  private static void tryIt(Kind kind, Change change, Effect effect) throws Exception {
    if (!kind.can(change)) {
      return;
    }
    Saved saved = kind.saved(change.before());
    try (InProgress job = kind.start(change.after())) {
      job.subtask().restore(saved.state());
      job.settle();
      long restored = job.subtask().meters().restoredTrajectories.getCount();
      long restarted = job.subtask().meters().restartedTrajectories.getCount();
      switch (effect) {
        case BEGINS_ANEW -> {
          assertThat(restarted).as("begins anew").isPositive();
          assertThat(restored).as("goes on").isZero();
        }
        case REFUSED -> {
          assertThat(job.subtask().images()).isEmpty();
          assertThat(job.subtask().failures()).hasSize(1);
          assertThat(job.subtask().failures().get(0).getReason())
              .isEqualTo(FailureReason.INVALID_REQUEST);
        }
        default -> {
          assertThat(job.subtask().failures()).isEmpty();
          assertThat(restored).as("goes on").isPositive();
          assertThat(restarted).as("begins anew").isZero();
          if (effect != Effect.FILE_ONLY) {
            assertThat(picture(job).data()).containsExactly(saved.undisturbed().data(), CLOSE);
          }
        }
      }
    }
  }
}
