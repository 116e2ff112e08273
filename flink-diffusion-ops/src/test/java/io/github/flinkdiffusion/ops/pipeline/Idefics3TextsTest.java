/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.Idefics3;
import io.github.flinkdiffusion.ops.network.Idefics3Config;
import io.github.flinkdiffusion.ops.tokenizer.PromptTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** SmolVLM's answers against transformers' {@code generate}, on a tiny random model. */
class Idefics3TextsTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures/text");
  private static final Path FOLDER = FIXTURES.resolve("tiny-idefics3");
  private static final List<Parameter<Raster>> IMAGES =
      List.of(Parameters.IMAGE, Parameters.IMAGE_2, Parameters.IMAGE_3, Parameters.IMAGE_4);
  private static final List<Raster> PICTURES = BlipTextsTest.images();

  private static JsonNode golden() throws IOException {
    return new ObjectMapper().readTree(FIXTURES.resolve("idefics3.json").toFile());
  }

  private static DiffusionPipeline open(Path folder) {
    return Pipelines.open(folder, PipelineSettings.on(DeviceSpec.CPU));
  }

  private static List<JsonNode> runs(Predicate<JsonNode> which) throws IOException {
    return StreamSupport.stream(golden().get("runs").spliterator(), false).filter(which).toList();
  }

  private static boolean isGreedy(JsonNode run) {
    return run.get("arguments").isEmpty();
  }

  private static GenerationSpec spec(JsonNode run) {
    JsonNode arguments = run.get("arguments");
    GenerationSpec spec =
        GenerationSpec.of("run")
            .with(Parameters.MAX_NEW_TOKENS, 12L)
            .with(Parameters.NUM_BEAMS, arguments.path("num_beams").asLong(1))
            .with(Parameters.LENGTH_PENALTY, arguments.path("length_penalty").asDouble(1))
            .with(Parameters.PROMPT, run.get("text").textValue());
    for (int i = 0; i < run.get("images").size(); i++) {
      spec = spec.with(IMAGES.get(i), PICTURES.get(run.get("images").get(i).asInt()));
    }
    return spec;
  }

  private static void runToTheEnd(DiffusionPipeline pipeline, List<Trajectory> texts) {
    List<Trajectory> left = new ArrayList<>(texts);
    while (!left.isEmpty()) {
      pipeline.step(left);
      left.removeIf(Trajectory::done);
    }
  }

  private static List<Integer> tokens(Trajectory done, int end) {
    GenerationRequest request = done.request();
    TextDecoding decoding =
        new TextDecoding(
            request.get(Parameters.NUM_BEAMS).intValue(),
            request.get(Parameters.MAX_NEW_TOKENS).intValue(),
            end,
            request.get(Parameters.LENGTH_PENALTY),
            null);
    return Arrays.stream(decoding.result(decoding.restore(done.snapshot().sample())))
        .boxed()
        .toList();
  }

  private static int end() {
    return Config.read(FOLDER.resolve("generation_config.json")).integer("eos_token_id");
  }

  private static List<Integer> ids(JsonNode ids) {
    List<Integer> all = new ArrayList<>();
    ids.forEach(id -> all.add(id.asInt()));
    return all;
  }

  private static void writesTheTokensOfTransformers(
      DiffusionPipeline pipeline, List<JsonNode> runs, int together) {
    for (int first = 0; first < runs.size(); first += together) {
      List<JsonNode> some = runs.subList(first, Math.min(first + together, runs.size()));
      List<Trajectory> texts =
          pipeline.start(some.stream().map(run -> pipeline.model().prepare(spec(run))).toList());
      runToTheEnd(pipeline, texts);
      List<GeneratedImage> written = pipeline.finish(texts);
      for (int i = 0; i < some.size(); i++) {
        assertThat(tokens(texts.get(i), end()))
            .as("%s", some.get(i))
            .isEqualTo(ids(some.get(i).get("ids")));
        assertThat(written.get(i).text().orElseThrow().text())
            .isEqualTo(some.get(i).get("decoded").textValue());
      }
    }
  }

  /** All 50 inputs: texts about one to three images at any token share each call. */
  @Test
  void writesTheTokensOfTransformersInMixedBatches() throws IOException {
    List<JsonNode> runs = runs(Idefics3TextsTest::isGreedy);
    assertThat(runs).hasSize(50);
    assertThat(runs).anyMatch(run -> run.get("images").size() == 3);
    try (DiffusionPipeline pipeline = open(FOLDER)) {
      writesTheTokensOfTransformers(pipeline, runs, 25);
    }
  }

  @Test
  @Tag("nightly")
  void writesTheTokensOfTransformersBeamSearchInMixedBatches() throws IOException {
    List<JsonNode> runs = runs(run -> true);
    assertThat(runs).hasSize(125);
    try (DiffusionPipeline pipeline = open(FOLDER)) {
      writesTheTokensOfTransformers(pipeline, runs, 25);
    }
  }

  @Test
  void writesTheTokensOfTransformersBeamSearch() throws IOException {
    List<JsonNode> runs = runs(run -> !isGreedy(run));
    try (DiffusionPipeline pipeline = open(FOLDER)) {
      writesTheTokensOfTransformers(pipeline, runs.subList(0, 12), 12);
    }
  }

  @Test
  void aTextAloneIsTheTextOfAMixedBatch() throws IOException {
    try (DiffusionPipeline pipeline = open(FOLDER)) {
      writesTheTokensOfTransformers(pipeline, runs(run -> true).subList(0, 12), 1);
    }
  }

  @Test
  void anImageThatIsNotCutIsOneImageToTheNetwork(@TempDir Path folder) throws IOException {
    Path whole =
        changed(folder, "preprocessor_config.json", c -> c.put("do_image_splitting", false));
    List<JsonNode> runs = new ArrayList<>();
    golden().get("whole").forEach(runs::add);
    try (DiffusionPipeline pipeline = open(whole)) {
      writesTheTokensOfTransformers(pipeline, runs, 8);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"greedy", "beams", "sampled"})
  void aTextRestoredAtAnyTokenIsTheSame(String how) {
    Random random = new Random(5);
    try (DiffusionPipeline pipeline = open(FOLDER)) {
      for (int i = 0; i < 8; i++) {
        GenerationRequest request =
            pipeline
                .model()
                .prepare(
                    GenerationSpec.of("text-" + i)
                        .with(Parameters.IMAGE, PICTURES.get(i))
                        .with(Parameters.IMAGE_2, i % 3 == 0 ? PICTURES.get(i + 20) : null)
                        .with(Parameters.PROMPT, i % 2 == 0 ? null : "what is this?")
                        .with(Parameters.MAX_NEW_TOKENS, 10L)
                        .with(Parameters.NUM_BEAMS, how.equals("beams") ? 3L : 1L)
                        .with(Parameters.DO_SAMPLE, how.equals("sampled") ? 1L : 0L));
        List<Trajectory> whole = pipeline.start(List.of(request));
        runToTheEnd(pipeline, whole);
        Trajectory broken = pipeline.start(List.of(request)).get(0);
        int steps = random.nextInt(whole.get(0).step());
        for (int step = 0; step < steps; step++) {
          pipeline.step(List.of(broken));
        }
        TrajectorySnapshot snapshot = broken.snapshot();
        broken.close();
        List<Trajectory> restored = pipeline.restore(List.of(snapshot));
        assertThat(restored.get(0).step()).isEqualTo(steps);
        runToTheEnd(pipeline, restored);
        assertThat(pipeline.finish(restored).get(0).text())
            .isEqualTo(pipeline.finish(whole).get(0).text());
      }
    }
  }

  @Test
  void aTextThatFindsNoRoomForItsKeysIsTheSame() throws IOException {
    try (DiffusionPipeline pipeline = open(FOLDER)) {
      TextPipeline none = ((TextPipeline) pipeline).withRoom(0);
      writesTheTokensOfTransformers(none, runs(run -> true).subList(0, 10), 5);
      assertThat(none.room()).isZero();
    }
  }

  @Test
  void pixelsFeaturesAndScoresAreThoseOfTransformers() {
    Idefics3Config config = Idefics3Config.from(Config.read(FOLDER.resolve("config.json")));
    Config processor = Config.read(FOLDER.resolve("preprocessor_config.json"));
    Idefics3Images images = new Idefics3Images(processor, 32);
    try (TensorStore weights = Safetensors.open(FOLDER.resolve("model.safetensors"));
        TensorStore golden = Safetensors.open(FIXTURES.resolve("idefics3-golden.safetensors"));
        Network network =
            new NetworkLoader(DeviceSpec.CPU, Precision.FLOAT32)
                .load("idefics3", new Idefics3(config).graph(), weights)) {
      assertThat(images.pixels(images.parts(PICTURES.get(0))).data())
          .isEqualTo(golden.floats("pixels"));
      ObjectNode uncut = (ObjectNode) processor.node().deepCopy();
      Idefics3Images whole =
          new Idefics3Images(Config.of("uncut", uncut.put("do_image_splitting", false)), 32);
      assertThat(whole.pixels(whole.parts(PICTURES.get(4))).data())
          .isEqualTo(golden.floats("whole"));
      int[][] indices = {{0}, {3}, {10, 17}};
      for (int i = 0; i < indices.length; i++) {
        List<Raster> parts =
            Arrays.stream(indices[i])
                .boxed()
                .flatMap(index -> images.parts(PICTURES.get(index)).stream())
                .toList();
        float[] features = network.call(Idefics3.VISION, images.pixels(parts)).data();
        close(features, golden.floats(i + "/features"));
        long[] ids = golden.longs(i + "/ids");
        int length = ids.length;
        float[] seen = new float[length * 32];
        float[] words = new float[length];
        int taken = 0;
        for (int j = 0; j < length; j++) {
          words[j] = ids[j] == config.imageToken() ? 0 : 1;
          if (words[j] == 0) {
            System.arraycopy(features, taken++ * 32, seen, j * 32, 32);
          }
        }
        float[] scores =
            network
                .call(
                    Idefics3.READ,
                    new HostTensor.Longs(ids, 1, length),
                    new HostTensor.Floats(seen, 1, length, 32),
                    new HostTensor.Floats(words, 1, length),
                    new HostTensor.Longs(new long[] {length - 1}, 1))
                .data();
        float[] expected = golden.floats(i + "/scores");
        close(Arrays.copyOf(scores, expected.length), expected);
      }
    }
  }

  @Test
  void imagesOfAnyShapeAreCutAsTransformersCutsThem() throws IOException {
    ObjectNode config =
        (ObjectNode) Config.read(FOLDER.resolve("preprocessor_config.json")).node().deepCopy();
    ((ObjectNode) config.get("size")).put("longest_edge", 128);
    Idefics3Images images = new Idefics3Images(Config.of("larger", config), 32);
    assertThat(images.mostParts()).isEqualTo(17);
    for (JsonNode each : golden().get("grids")) {
      int height = each.get(0).asInt();
      int width = each.get(1).asInt();
      Raster image = new Raster(3, height, width, new float[3 * height * width]);
      assertThat(images.grid(image))
          .as("%d x %d", height, width)
          .isEqualTo(new Idefics3Images.Grid(each.get(2).asInt(), each.get(3).asInt()));
    }
  }

  /** As transformers does: gray is all three colors, and what is transparent shows white. */
  @Test
  void imagesHaveThreeColorsToTheNetwork() {
    ObjectNode config =
        (ObjectNode) Config.read(FOLDER.resolve("preprocessor_config.json")).node().deepCopy();
    Idefics3Images images =
        new Idefics3Images(Config.of("uncut", config.put("do_image_splitting", false)), 32);
    Raster picture = PICTURES.get(2);
    int pixels = picture.height() * picture.width();
    float[] gray = Arrays.copyOf(picture.data(), pixels);
    float[] three = new float[3 * pixels];
    for (int c = 0; c < 3; c++) {
      System.arraycopy(gray, 0, three, c * pixels, pixels);
    }
    assertThat(pixels(images, picture, 1, gray)).isEqualTo(pixels(images, picture, 3, three));
    float[] transparent = Arrays.copyOf(picture.data(), 4 * pixels);
    for (int i = 0; i < pixels; i++) {
      transparent[3 * pixels + i] = i * 7 % 256 / 255f;
    }
    try (TensorStore golden = Safetensors.open(FIXTURES.resolve("idefics3-golden.safetensors"))) {
      assertThat(pixels(images, picture, 4, transparent)).isEqualTo(golden.floats("transparent"));
    }
  }

  private static float[] pixels(Idefics3Images images, Raster of, int channels, float[] data) {
    return images.pixels(images.parts(new Raster(channels, of.height(), of.width(), data))).data();
  }

  private static void close(float[] own, float[] expected) {
    assertThat(own).hasSameSizeAs(expected);
    for (int i = 0; i < own.length; i++) {
      assertThat(own[i]).isCloseTo(expected[i], Offset.offset(1e-4f));
    }
  }

  /** Cuts texts as GPT2Tokenizer does, and as the file says where the class leaves it to that. */
  @Test
  void theTokenizersAreThoseOfTransformers(@TempDir Path folder) throws IOException {
    Path file =
        changed(
            folder, "tokenizer_config.json", c -> c.put("tokenizer_class", "TokenizersBackend"));
    PromptTokenizer byClass = tokenizer(FOLDER);
    PromptTokenizer byFile = tokenizer(file);
    for (JsonNode each : golden().get("texts")) {
      String text = each.get("text").textValue();
      assertThat(Arrays.stream(byClass.ids(text)).boxed().toList())
          .as(text)
          .isEqualTo(ids(each.get("ids")));
      assertThat(Arrays.stream(byFile.ids(text)).boxed().toList())
          .as(text)
          .isEqualTo(ids(each.get("digits")));
    }
  }

  private static PromptTokenizer tokenizer(Path folder) {
    return PromptTokenizer.gpt2(ModelFolder.open(folder, Optional.empty()).component("tokenizer"));
  }

  @ParameterizedTest
  @CsvSource({
    "chat_template.json, chat_template, chat_template",
    "generation_config.json, eos_token_id, eos_token_id",
    "config.json, image_token_id, image_token_id",
    "config.json, vision_config/hidden_act, hidden_act",
    "config.json, vision_config/patch_size, patch_size",
    "config.json, text_config/model_type, model_type",
    "config.json, scale_factor, scale_factor",
    "preprocessor_config.json, do_resize, do_resize",
    "preprocessor_config.json, max_image_size/longest_edge, max_image_size",
    "preprocessor_config.json, image_processor_type, image_processor",
    "tokenizer_config.json, tokenizer_class, tokenizer",
    "tokenizer.json, pre_tokenizer/type, pre_tokenizer"
  })
  void refusesByNameWhatItWouldReadOtherwise(
      String file, String key, String named, @TempDir Path folder) throws IOException {
    Path other =
        changed(
            folder,
            file,
            config -> {
              ObjectNode at = config;
              String[] path = key.split("/");
              for (int i = 0; i + 1 < path.length; i++) {
                at = (ObjectNode) at.get(path[i]);
              }
              String last = path[path.length - 1];
              if (at.get(last).isNumber()) {
                at.put(last, 3);
              } else if (at.get(last).isBoolean()) {
                at.put(last, !at.get(last).booleanValue());
              } else {
                at.put(last, "another");
              }
            });
    assertThatThrownBy(() -> open(other).close()).hasMessageContaining(named);
  }

  @Test
  void refusesRequestsThatCannotBeDone() {
    try (DiffusionPipeline pipeline = open(FOLDER)) {
      GenerationSpec spec = GenerationSpec.of("bad").with(Parameters.IMAGE, PICTURES.get(0));
      assertThatThrownBy(
              () -> pipeline.model().prepare(spec.with(Parameters.PROMPT, "an <image> here")))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("<image>");
      assertThatThrownBy(() -> pipeline.model().prepare(spec.with(Parameters.MAX_NEW_TOKENS, 250L)))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("at most 256");
      assertThatThrownBy(() -> pipeline.model().prepare(GenerationSpec.of("none")))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("image");
    }
  }

  private static Path changed(Path folder, String file, Consumer<ObjectNode> change)
      throws IOException {
    try (Stream<Path> files = Files.list(FOLDER)) {
      for (Path each : files.toList()) {
        Files.copy(each, folder.resolve(each.getFileName()));
      }
    }
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode config = (ObjectNode) mapper.readTree(folder.resolve(file).toFile());
    change.accept(config);
    mapper.writeValue(folder.resolve(file).toFile(), config);
    return folder;
  }
}
