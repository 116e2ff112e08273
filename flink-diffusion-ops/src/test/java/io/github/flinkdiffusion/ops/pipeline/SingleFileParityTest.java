/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.offset;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.ClipTextProjection;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.SingleFileKeys;
import io.github.flinkdiffusion.ops.weights.SingleFileKeys.Key;
import io.github.flinkdiffusion.ops.weights.TensorInfo;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A single-file checkpoint is the folder that diffusers makes of it. What belongs to what was asked
 * of diffusers' own conversion when the fixtures were made.
 */
class SingleFileParityTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final Path SINGLE = FIXTURES.resolve("single-file");
  private static final Path MODELS = FIXTURES.resolve("models");

  @TempDir private Path temp;

  @ParameterizedTest
  @CsvSource({
    "v1, StableDiffusionPipeline",
    "inpainting, StableDiffusionInpaintPipeline",
    "instruct-pix2pix, StableDiffusionInstructPix2PixPipeline",
    "v2, StableDiffusionPipeline",
    "inpainting_v2, StableDiffusionInpaintPipeline",
    "upscale, StableDiffusionUpscalePipeline",
    "xl_base, StableDiffusionXLPipeline",
    "xl_inpaint, StableDiffusionXLInpaintPipeline",
    "xl_refiner, StableDiffusionXLImg2ImgPipeline"
  })
  void everyTensorOfARealCheckpointHasItsPlace(String kind, String pipeline) throws Exception {
    List<Key> keys = SingleFileKeys.of(kind);
    ModelFolder model = ModelFolder.open(hollow(keys));

    assertThat(model.pipelineClass()).isEqualTo(pipeline);
    Set<String> networks = new TreeSet<>();
    for (String component : model.componentNames()) {
      if (model.component(component).weightFiles().isEmpty()) {
        continue;
      }
      networks.add(component);
      Map<String, String> expected = new TreeMap<>();
      keys.stream()
          .filter(key -> key.component().equals(component))
          .forEach(
              key ->
                  key.targets()
                      .forEach(name -> expected.put(name, Arrays.toString(key.targetShape()))));
      try (TensorStore found = model.component(component).open()) {
        Map<String, String> shapes = new TreeMap<>();
        found.names().forEach(name -> shapes.put(name, Arrays.toString(found.info(name).shape())));
        assertThat(shapes).as(component).isEqualTo(expected);

        graph(model.component(component))
            .parameterShapes()
            .forEach(
                (name, shape) -> assertThat(found.info(name).shape()).as(name).isEqualTo(shape));
      }
    }
    assertThat(networks)
        .isEqualTo(
            new TreeSet<>(
                keys.stream().map(Key::component).filter(Predicate.not(String::isEmpty)).toList()));
  }

  private Path hollow(List<Key> keys) throws IOException {
    return SingleFileKeys.hollow(temp.resolve("hollow.safetensors"), keys);
  }

  private static Graph graph(ModelComponent component) {
    Config config = component.config();
    return switch (component.className()) {
      case "UNet2DConditionModel" ->
          new UNet2DCondition(UNet2DConditionConfig.from(config)).graph();
      case "AutoencoderKL" -> new AutoencoderKL(AutoencoderKLConfig.from(config)).graph();
      case "CLIPTextModel" -> new ClipText(ClipTextConfig.from(config)).graph(77);
      default -> new ClipTextProjection(ClipTextConfig.from(config)).graph(77);
    };
  }

  @ParameterizedTest
  @ValueSource(strings = {"tiny-sd1", "tiny-sd2", "tiny-sdxl"})
  void everyTensorIsTheFoldersBitForBit(String name) throws Exception {
    assertSame(ModelFolder.openSingleFile(singleFile(name), MODELS.resolve(name)), name);
  }

  @Test
  void aFileWrittenInPythonIsTheFolderBitForBit() throws Exception {
    Path file = SINGLE.resolve("tiny-sdxl.safetensors");
    assertSame(ModelFolder.openSingleFile(file, MODELS.resolve("tiny-sdxl")), "tiny-sdxl");
  }

  private static void assertSame(ModelFolder single, String name) throws IOException {
    ModelFolder folder = ModelFolder.open(MODELS.resolve(name));
    assertThat(single.pipelineClass()).isEqualTo(folder.pipelineClass());
    assertThat(single.componentNames()).isEqualTo(folder.componentNames());
    int compared = 0;
    for (String component : folder.componentNames()) {
      if (folder.component(component).weightFiles().isEmpty()) {
        continue;
      }
      try (TensorStore expected =
              TensorViews.withTextModelPrefix(folder.component(component).open());
          TensorStore actual = single.component(component).open()) {
        for (String tensor : expected.names()) {
          if (tensor.endsWith("position_ids")) {
            continue;
          }
          assertThat(actual.info(tensor)).isEqualTo(expected.info(tensor));
          assertThat(bytes(actual, tensor)).as(tensor).isEqualTo(bytes(expected, tensor));
          compared++;
        }
      }
    }
    assertThat(compared).isGreaterThan(200);
  }

  private static byte[] bytes(TensorStore store, String name) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    store.writeTo(name, store.info(name).dtype(), out);
    return out.toByteArray();
  }

  /** A folder's weights as a single file, by the list of keys. */
  private Path singleFile(String name) throws IOException {
    return singleFile(name, key -> key);
  }

  /**
   * @param change gives another name to a tensor, or null to leave it out
   */
  private Path singleFile(String name, UnaryOperator<String> change) throws IOException {
    ModelFolder folder = ModelFolder.open(MODELS.resolve(name));
    Map<String, TensorStore> stores = new TreeMap<>();
    HeapTensors.Builder file = HeapTensors.builder();
    for (Key key : SingleFileKeys.of(name)) {
      String original = change.apply(key.original());
      if (original == null) {
        continue;
      }
      if (key.how().equals("unused")) {
        file.add(original, new float[(int) elements(key.shape())], key.shape());
        continue;
      }
      TensorStore store =
          stores.computeIfAbsent(
              key.component(), c -> TensorViews.withTextModelPrefix(folder.component(c).open()));
      ByteArrayOutputStream all = new ByteArrayOutputStream();
      for (String target : key.targets()) {
        all.write(bytes(store, target));
      }
      DType dtype = store.info(key.targets().get(0)).dtype();
      byte[] content =
          key.how().equals("transposed")
              ? transpose(all.toByteArray(), dtype.bytes(), key.shape())
              : all.toByteArray();
      file.add(TensorInfo.of(original, dtype, key.shape()), content);
    }
    stores.values().forEach(TensorStore::close);
    Path path = temp.resolve(name + ".safetensors");
    SafetensorsWriter.write(path, file.build());
    return path;
  }

  private static long elements(long[] shape) {
    return Arrays.stream(shape).reduce(1, Math::multiplyExact);
  }

  private static byte[] transpose(byte[] matrix, int bytes, long[] to) {
    byte[] result = new byte[matrix.length];
    for (int row = 0; row < to[0]; row++) {
      for (int column = 0; column < to[1]; column++) {
        System.arraycopy(
            matrix,
            (int) (column * to[0] + row) * bytes,
            result,
            (int) (row * to[1] + column) * bytes,
            bytes);
      }
    }
    return result;
  }

  @Test
  void itsPictureIsTheFolders() throws Exception {
    Path folder = MODELS.resolve("tiny-sd1");
    PipelineSettings settings = PipelineSettings.on(DeviceSpec.CPU);
    // Processors' instructions differ by where tensors begin in a file.
    assertThat(picture(singleFile("tiny-sd1"), settings.withConfigs(folder)))
        .containsExactly(picture(folder, settings), offset(1e-5f));
  }

  private static float[] picture(Path model, PipelineSettings settings) {
    try (DiffusionPipeline pipeline = Pipelines.open(model, settings)) {
      GenerationSpec spec =
          GenerationSpec.of("cat").with(Parameters.PROMPT, "a cat").with(Parameters.STEPS, 2L);
      List<Trajectory> alone = pipeline.start(List.of(pipeline.model().prepare(spec)));
      while (!alone.get(0).done()) {
        pipeline.step(alone);
      }
      return pipeline.finish(alone).get(0).image().data();
    }
  }

  @Test
  void theVocabularyOfAFileIsClipsOwn() throws Exception {
    ModelFolder model = ModelFolder.open(hollow(SingleFileKeys.of("xl_base")));
    ClipTokenizer tokenizer = ClipTokenizer.load(model.component("tokenizer"));
    // As openai/clip-vit-large-patch14 gives them.
    int[] expected = {49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 49407};
    int[] ids = tokenizer.encode("a photo of an astronaut riding a horse").ids();

    assertThat(tokenizer.vocabularySize()).isEqualTo(49408);
    assertThat(ids).hasSize(77).startsWith(expected).endsWith(49407);
    assertThat(ClipTokenizer.load(model.component("tokenizer_2")).encode("a photo").ids())
        .startsWith(49406, 320, 1125, 49407, 0)
        .endsWith(0);
  }

  @ParameterizedTest
  @CsvSource({"tokenizer, tokenizer", "tokenizer_2, tokenizer-exclamation"})
  void textsHaveTheIdsThatTransformersGivesThem(String component, String reference)
      throws Exception {
    JsonNode json = new ObjectMapper().readTree(SINGLE.resolve("tokens.json").toFile());
    ModelFolder model = ModelFolder.open(hollow(SingleFileKeys.of("xl_base")));
    ClipTokenizer tokenizer = ClipTokenizer.load(model.component(component));

    assertThat(json.get("texts")).isNotEmpty();
    for (int i = 0; i < json.get("texts").size(); i++) {
      String text = json.get("texts").get(i).asText();
      int[] expected = new ObjectMapper().treeToValue(json.get(reference).get(i), int[].class);
      assertThat(tokenizer.encode(text).ids()).as(text).isEqualTo(expected);
    }
  }

  @Test
  void aTensorThatNoNetworkHasIsNamed() throws Exception {
    String wrong = "model.diffusion_model.middle_block.1.lora_up.weight";
    Path file =
        singleFile(
            "tiny-sd1",
            key -> key.equals("model.diffusion_model.middle_block.1.norm.weight") ? wrong : key);
    ModelFolder model = ModelFolder.openSingleFile(file, MODELS.resolve("tiny-sd1"));

    assertThatThrownBy(() -> model.component("unet").open())
        .isInstanceOf(WeightsException.class)
        .hasMessageContainingAll(file.toString(), wrong, "UNet2DConditionModel");
  }

  @Test
  void aTensorThatIsMissingIsNamedWithTheFile() throws Exception {
    Path file = singleFile("tiny-sd1", key -> key.endsWith("decoder.conv_in.bias") ? null : key);
    ModelFolder model = ModelFolder.openSingleFile(file, MODELS.resolve("tiny-sd1"));

    try (TensorStore vae = model.component("vae").open()) {
      assertThatThrownBy(() -> vae.info("decoder.conv_in.bias"))
          .isInstanceOf(WeightsException.class)
          .hasMessageContainingAll(file.toString(), "[vae]", "decoder.conv_in.bias");
    }
  }

  @Test
  void aFileWithoutAnAutoencoderTakesThatOfTheFolder() throws Exception {
    Path file = singleFile("tiny-sd1", key -> key.startsWith("first_stage_model") ? null : key);
    ModelFolder model = ModelFolder.openSingleFile(file, MODELS.resolve("tiny-sd1"));

    assertSame(model, "tiny-sd1");
    assertThat(model.component("vae").weightFiles())
        .isEqualTo(ModelFolder.open(MODELS.resolve("tiny-sd1")).component("vae").weightFiles());
  }

  @Test
  void otherFilesAreRefusedWithTheReason() throws Exception {
    Path lora = temp.resolve("style.safetensors");
    SafetensorsWriter.write(
        lora,
        HeapTensors.builder()
            .add("lora_unet_mid_block_attentions_0_proj_in.alpha", new float[] {1})
            .build());
    assertThatThrownBy(() -> ModelFolder.open(lora))
        .isInstanceOf(WeightsException.class)
        .hasMessageContainingAll(lora.toString(), "input_blocks.0.0.weight", "LoRA");

    Path pickled = temp.resolve("model.ckpt");
    Files.write(pickled, new byte[] {'P', 'K', 3, 4});
    assertThatThrownBy(() -> ModelFolder.open(pickled))
        .isInstanceOf(WeightsException.class)
        .hasMessageContainingAll(pickled.toString(), "pickled", "from_single_file");
  }

  @Test
  void theDigestIsThatOfContentAndConfigs() throws Exception {
    Path file = singleFile("tiny-sd1");
    Path copy = Files.copy(file, temp.resolve("copy.safetensors"));
    Path other = singleFile("tiny-sd1", key -> key.startsWith("alphas") ? null : key);
    Path configs = MODELS.resolve("tiny-sd1");
    String digest = ModelFolder.openSingleFile(copy, configs).digest();

    assertThat(digest).matches("[0-9a-f]{64}");
    assertThat(ModelFolder.openSingleFile(other, configs).digest()).isNotEqualTo(digest);
    assertThat(ModelFolder.openSingleFile(copy, MODELS.resolve("tiny-sd2")).digest())
        .isNotEqualTo(digest);
  }
}
