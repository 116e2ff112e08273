/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Files with the names of the transformers' authors are what diffusers' conversion functions make
 * of them: {@code src/test/python/make_original_transformer_fixtures.py}.
 */
class OriginalTransformersTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures/original-transformers");
  private static final Map<String, String> SD3 =
      Map.of(
          "transformer", "SD3Transformer2DModel",
          "text_encoder", "CLIPTextModelWithProjection",
          "text_encoder_2", "CLIPTextModelWithProjection",
          "text_encoder_3", "T5EncoderModel",
          "vae", "AutoencoderKL");
  private static final Map<String, String> QWEN_IMAGE =
      Map.of(
          "transformer", "QwenImageTransformer2DModel",
          "text_encoder", "Qwen2_5_VLForConditionalGeneration",
          "vae", "AutoencoderKLQwenImage");
  private static final Map<String, String> CONFIGS =
      Map.of(
          "text_encoder", "{\"hidden_size\": 6}",
          "text_encoder_2", "{\"hidden_size\": 10}",
          "vae", "{\"block_out_channels\": [8, 8]}");

  @TempDir private Path temp;

  @ParameterizedTest
  @CsvSource({
    "flux-schnell, FluxTransformer2DModel",
    "flux-dev, FluxTransformer2DModel",
    "sd3-plain, SD3Transformer2DModel",
    "z-image, ZImageTransformer2DModel",
    "pixart-alpha, PixArtTransformer2DModel",
    "pixart-sigma, PixArtTransformer2DModel"
  })
  void aTransformersOwnFileIsWhatDiffusersMakesOfIt(String family, String className)
      throws IOException {
    Path folder = folder(Map.of("transformer", className));
    Files.copy(original(family), folder.resolve("transformer/diffusion_pytorch_model.safetensors"));

    assertSame(ModelFolder.open(folder), family);
  }

  @Test
  void aFileOfAllNetworksIsWhatDiffusersMakesOfIt() throws IOException {
    Path configs = folder(SD3);

    ModelFolder model = ModelFolder.openSingleFile(original("sd3"), configs);

    assertSame(model, "sd3");
    assertThat(model.component("text_encoder_3").weightFiles()).containsExactly(original("sd3"));
  }

  @Test
  void aFileOfQwenImageIsWhatDiffusersMakesOfItsNetworks() throws IOException {
    ModelFolder model = ModelFolder.openSingleFile(original("qwen-image"), folder(QWEN_IMAGE));

    assertSame(model, "qwen-image");
    assertThatThrownBy(() -> ModelFolder.open(original("qwen-image")))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("is a QwenImageTransformer2DModel without configs");
  }

  @Test
  void aNetworkOfOneFileMayHaveDiffusersNamesInIt() throws IOException {
    HeapTensors.Builder tensors = HeapTensors.builder();
    try (Safetensors file = Safetensors.open(original("qwen-image"))) {
      String prefix = "model.diffusion_model.";
      file.names().stream()
          .filter(name -> name.startsWith(prefix))
          .forEach(
              name ->
                  tensors.add(
                      name.substring(prefix.length()), file.floats(name), file.info(name).shape()));
    }
    Path file = temp.resolve("qwen-image.safetensors");
    SafetensorsWriter.write(file, tensors.build());

    Path folder = folder(Map.of("transformer", "QwenImageTransformer2DModel"));
    Files.copy(file, folder.resolve("transformer/diffusion_pytorch_model.safetensors"));
    try (TensorStore single =
            ModelFolder.openSingleFile(file, folder).component("transformer").open();
        TensorStore own = ModelFolder.open(folder).component("transformer").open();
        Safetensors plain = Safetensors.open(file)) {
      assertThat(single.names()).isEqualTo(plain.names());
      assertThat(own.digest()).isEqualTo(plain.digest());
    }
  }

  @Test
  void networksThatAFileDoesNotHoldAreThoseOfTheFolder() throws IOException {
    Path configs = folder(SD3);
    Path own = configs.resolve("text_encoder_3/model.safetensors");
    SafetensorsWriter.write(
        own, HeapTensors.builder().add("shared.weight", new float[] {1, 2}, 2, 1).build());

    ModelFolder model = ModelFolder.openSingleFile(original("sd3-plain"), configs);

    try (TensorStore encoder = model.component("text_encoder_3").open();
        TensorStore transformer = model.component("transformer").open()) {
      assertThat(encoder.floats("shared.weight")).containsExactly(1, 2);
      assertThat(transformer.names()).contains("transformer_blocks.2.attn.to_q.weight");
    }
    assertThat(model.component("text_encoder_3").weightFiles()).containsExactly(own);
    assertThatThrownBy(() -> model.component("vae").open())
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("holds no tensors for component 'vae'");
  }

  @Test
  void aGgufFileStandsForTheSafetensorsOfAFolder() throws IOException {
    Path folder = folder(Map.of("transformer", "FluxTransformer2DModel"));
    gguf(folder.resolve("transformer/flux1-schnell-F16.gguf"), "flux-schnell");
    assertSame(ModelFolder.open(folder), "flux-schnell");

    gguf(folder.resolve("transformer/flux1-schnell-Q4_K_S.gguf"), "flux-schnell");
    assertThatThrownBy(() -> ModelFolder.open(folder).component("transformer").open())
        .hasMessageContaining("exist only as variants [F16, Q4_K_S]")
        .hasMessageContaining("diffusion.model.variant");
    ModelFolder chosen = ModelFolder.open(folder, Optional.of("Q4_K_S"));
    assertThat(chosen.component("transformer").weightFiles().get(0).toString())
        .endsWith("Q4_K_S.gguf");
  }

  @Test
  void aGgufFileTakesTheRestOfTheModelFromAFolder() throws IOException {
    Path file = gguf(temp.resolve("my-flux.gguf"), "flux-dev");
    assertThatThrownBy(() -> ModelFolder.open(file))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("diffusion.model.configs");

    ModelFolder model =
        ModelFolder.openSingleFile(file, folder(Map.of("transformer", "FluxTransformer2DModel")));

    assertSame(model, "flux-dev");
    assertThat(model.name()).isEqualTo("my-flux");
  }

  @Test
  void aT5EncoderMayBeAGgufFileWithTheNamesOfLlama() throws IOException {
    Path folder = folder(Map.of("text_encoder_3", "T5EncoderModel"));
    List<String> lines =
        Files.readAllLines(FIXTURES.resolveSibling("weights").resolve("t5-names.txt"));
    GgufBytes file = new GgufBytes();
    for (int i = 0; i < lines.size(); i++) {
      file.tensor(lines.get(i).split(" ")[0], 0, 32L * i, 8);
    }
    file.data(32 * lines.size())
        .write(folder.resolve("text_encoder_3/t5-v1_1-xxl-encoder-Q8_0.gguf"));

    try (TensorStore encoder = ModelFolder.open(folder).component("text_encoder_3").open()) {
      assertThat(encoder.names())
          .containsExactlyInAnyOrderElementsOf(
              lines.stream().map(line -> line.split(" ")[1]).toList());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "flux-kohya, flux-dev, FluxTransformer2DModel",
    "flux-bfl,   flux-dev, FluxTransformer2DModel",
    "sd3-kohya,  sd3,      SD3Transformer2DModel"
  })
  void aLoraOfTheAuthorsLayersChangesWhatTheyAre(String lora, String family, String className)
      throws IOException {
    ModelFolder plain =
        ModelFolder.openSingleFile(original(family), folder(Map.of("transformer", className)));
    ModelFolder merged =
        plain.withLoras(List.of(new Lora(FIXTURES.resolve(lora + "-lora.safetensors"), 1)));

    try (Safetensors expected = Safetensors.open(FIXTURES.resolve(lora + "-merged.safetensors"));
        TensorStore before = plain.component("transformer").open();
        TensorStore after = merged.component("transformer").open()) {
      for (String name : after.names()) {
        if (expected.contains(name)) {
          assertThat(after.floats(name))
              .as(name)
              .usingComparatorWithPrecision(1e-4f)
              .containsExactly(expected.floats(name));
        } else {
          assertThat(after.floats(name)).as(name).isEqualTo(before.floats(name));
        }
      }
      assertThat(after.names()).containsAll(expected.names());
    }
  }

  @Test
  void whatIsNoTensorOfTheNetworkIsRefused() throws IOException {
    HeapTensors.Builder tensors = HeapTensors.builder();
    try (Safetensors file = Safetensors.open(original("flux-schnell"))) {
      file.names().forEach(name -> tensors.add(name, file.floats(name), file.info(name).shape()));
    }
    tensors.add("double_blocks.0.img_attn.lora", new float[1], 1);
    Path folder = folder(Map.of("transformer", "FluxTransformer2DModel"));
    SafetensorsWriter.write(
        folder.resolve("transformer/diffusion_pytorch_model.safetensors"), tensors.build());
    assertThatThrownBy(() -> ModelFolder.open(folder).component("transformer").open())
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("'double_blocks.0.img_attn.lora'");

    assertThatThrownBy(() -> ModelFolder.openSingleFile(original("flux-schnell"), folder(SD3)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("holds no network of the model");
  }

  private static Path original(String family) {
    return FIXTURES.resolve(family + "-original.safetensors");
  }

  private static void assertSame(ModelFolder model, String family) {
    try (Safetensors expected =
        Safetensors.open(FIXTURES.resolve(family + "-diffusers.safetensors"))) {
      Map<String, String> found = new TreeMap<>();
      for (String component : model.componentNames()) {
        try (TensorStore store = model.component(component).open()) {
          for (String name : store.names()) {
            found.put(component + "." + name, text(store, name));
            assertRangesAreOfTheWhole(store, name);
          }
        }
      }
      Map<String, String> wanted = new TreeMap<>();
      expected.names().forEach(name -> wanted.put(name, text(expected, name)));
      assertThat(found).isEqualTo(wanted);
    }
  }

  private static String text(TensorStore store, String name) {
    return Arrays.toString(store.info(name).shape()) + Arrays.toString(store.floats(name));
  }

  private static void assertRangesAreOfTheWhole(TensorStore store, String name) {
    List<Byte> whole = bytes(store.data(name));
    int size = store.info(name).dtype().bytes();
    long elements = store.info(name).elements();
    long first = elements / 3;
    long count = elements / 2;
    assertThat(bytes(store.data(name, first, count)))
        .as(name)
        .isEqualTo(whole.subList((int) first * size, (int) (first + count) * size));
  }

  private static List<Byte> bytes(List<ByteBuffer> parts) {
    List<Byte> bytes = new ArrayList<>();
    for (var part : parts) {
      while (part.hasRemaining()) {
        bytes.add(part.get());
      }
    }
    return bytes;
  }

  /** The fixture's tensors, which are float16, as a GGUF file. */
  private static Path gguf(Path path, String family) throws IOException {
    GgufBytes bytes = new GgufBytes();
    try (Safetensors file = Safetensors.open(original(family))) {
      long at = 0;
      ByteArrayOutputStream data = new ByteArrayOutputStream();
      for (String name : file.names()) {
        long[] shape = file.info(name).shape();
        long[] innermostFirst = new long[shape.length];
        for (int i = 0; i < shape.length; i++) {
          innermostFirst[i] = shape[shape.length - 1 - i];
        }
        bytes.tensor(name, 1, at, innermostFirst);
        file.writeTo(name, file.info(name).dtype(), data);
        while (data.size() % 32 != 0) {
          data.write(0);
        }
        at = data.size();
      }
      return bytes.data(data.toByteArray()).write(path);
    }
  }

  private Path folder(Map<String, String> classes) throws IOException {
    Path folder = Files.createTempDirectory(temp, "folder");
    Map<String, Object> index = new TreeMap<>();
    index.put("_class_name", "Some");
    for (var each : classes.entrySet()) {
      String library = each.getKey().startsWith("text") ? "transformers" : "diffusers";
      index.put(each.getKey(), List.of(library, each.getValue()));
      Files.createDirectories(folder.resolve(each.getKey()));
      Files.writeString(
          folder.resolve(each.getKey()).resolve("config.json"),
          CONFIGS.getOrDefault(each.getKey(), "{}"));
    }
    Files.writeString(
        folder.resolve("model_index.json"), new ObjectMapper().writeValueAsString(index));
    return folder;
  }
}
