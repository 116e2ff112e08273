/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Classifiers of transformers' folders against transformers, on tiny random models. */
class ImageClassifierTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final Path VIT = FIXTURES.resolve("classifier/tiny-vit");
  private static final Path CLIP = FIXTURES.resolve("classifier/tiny-clip");

  @Test
  void vitClassifiesAsTransformersDoes() throws IOException {
    JsonNode golden = golden();
    try (ImageClassifier classifier = ImageClassifier.open(VIT, List.of(), DeviceSpec.CPU)) {
      assertThat(classifier.labels()).isEqualTo(texts(golden.get("labels")));
      assertThat(classifier.digest()).hasSize(64);
      assertSame(classifier, golden.get("vit"));
    }
  }

  @Test
  void clipClassifiesByTextsAsTransformersDoes() throws IOException {
    JsonNode golden = golden();
    try (ImageClassifier classifier =
        ImageClassifier.open(CLIP, texts(golden.get("texts")), DeviceSpec.CPU)) {
      assertThat(classifier.labels()).isEqualTo(texts(golden.get("texts")));
      assertSame(classifier, golden.get("clip"));
    }
  }

  private static void assertSame(ImageClassifier classifier, JsonNode expected) {
    List<float[]> shares = classifier.shares(images(expected.size()));
    for (int i = 0; i < expected.size(); i++) {
      for (int k = 0; k < expected.get(i).size(); k++) {
        assertThat(shares.get(i)[k])
            .as("image %d, class %d", i, k)
            .isCloseTo((float) expected.get(i).get(k).asDouble(), within(2e-5f));
      }
    }
  }

  @Test
  void textsAreForClipAlone() {
    assertThatThrownBy(() -> ImageClassifier.open(VIT, List.of("a cat"), DeviceSpec.CPU))
        .hasMessageContaining("has classes of its own");
    assertThatThrownBy(() -> ImageClassifier.open(CLIP, List.of(), DeviceSpec.CPU))
        .hasMessageContaining("compares images with texts; none are given");
  }

  @Test
  void anotherClassIsRefusedByName(@TempDir Path folder) throws IOException {
    copy(VIT, folder);
    replace(folder.resolve("config.json"), "ViTForImageClassification", "ResNetForClassification");

    assertThatThrownBy(() -> ImageClassifier.open(folder, List.of(), DeviceSpec.CPU))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("ResNetForClassification")
        .hasMessageContaining("ViTForImageClassification or CLIPModel");
  }

  @Test
  void anotherActivationAndMissingLabelsAreRefused(@TempDir Path folder) throws IOException {
    copy(VIT, folder);
    replace(folder.resolve("config.json"), "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"snake\"");

    assertThatThrownBy(() -> ImageClassifier.open(folder, List.of(), DeviceSpec.CPU))
        .hasMessageContaining("hidden_act")
        .hasMessageContaining("snake");

    replace(folder.resolve("config.json"), "\"hidden_act\": \"snake\"", "\"hidden_act\": \"gelu\"");
    replace(folder.resolve("config.json"), "\"0\": \"face\"", "\"zero\": \"face\"");
    assertThatThrownBy(() -> ImageClassifier.open(folder, List.of(), DeviceSpec.CPU))
        .hasMessageContaining("id2label");
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.list(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
  }

  private static void replace(Path file, String what, String by) throws IOException {
    String text = Files.readString(file);
    assertThat(text).contains(what);
    Files.writeString(file, text.replace(what, by));
  }

  private static JsonNode golden() throws IOException {
    return new ObjectMapper().readTree(FIXTURES.resolve("classifier/classifiers.json").toFile());
  }

  private static List<String> texts(JsonNode node) {
    List<String> texts = new ArrayList<>();
    node.forEach(each -> texts.add(each.textValue()));
    return texts;
  }

  private static List<Raster> images(int count) {
    List<Raster> images = new ArrayList<>();
    try (TensorStore store = Safetensors.open(FIXTURES.resolve("text/images.safetensors"))) {
      for (int i = 0; i < count; i++) {
        long[] shape = store.info("" + i).shape();
        byte[] levels = new byte[(int) (shape[0] * shape[1] * shape[2])];
        store.data("" + i).get(0).get(levels);
        float[] values = new float[levels.length];
        for (int j = 0; j < levels.length; j++) {
          values[j] = Byte.toUnsignedInt(levels[j]) / 255f;
        }
        images.add(new Raster((int) shape[0], (int) shape[1], (int) shape[2], values));
      }
    }
    return images;
  }
}
