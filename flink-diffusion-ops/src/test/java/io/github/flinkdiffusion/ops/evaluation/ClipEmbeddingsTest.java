/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.quality.TextAgreement;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.assertj.core.data.Offset;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Against transformers and torchmetrics: {@code src/test/python/make_clip_score_fixtures.py}. */
class ClipEmbeddingsTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures/quality");

  /** 1e-4 relative. */
  private static final Percentage CLOSE = Percentage.withPercentage(0.01);

  private static void assertSame(float[] actual, JsonNode expected) {
    assertThat(actual).hasSize(expected.size());
    for (int i = 0; i < actual.length; i++) {
      assertThat((double) actual[i]).isCloseTo(expected.get(i).doubleValue(), Offset.offset(1e-4));
    }
  }

  @Test
  void scoresAreTorchmetrics() throws IOException {
    JsonNode expected = new ObjectMapper().readTree(FIXTURES.resolve("clip.json").toFile());
    List<Raster> pictures = new ArrayList<>();
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < expected.get("texts").size(); i++) {
      JsonNode size = expected.get("sizes").get(i);
      pictures.add(
          DrawnWeights.picture("clip" + i, size.get(0).intValue(), size.get(1).intValue(), false));
      texts.add(expected.get("texts").get(i).textValue());
    }
    try (ClipEmbeddings clip = ClipEmbeddings.open(FIXTURES.resolve("tiny-clip"), DeviceSpec.CPU)) {
      float[][] images = clip.images(pictures);
      float[][] words = clip.texts(texts);
      for (int i = 0; i < images.length; i++) {
        assertSame(images[i], expected.get("images").get(i));
        assertSame(words[i], expected.get("embeddings").get(i));
        assertThat(TextAgreement.clipScore(new float[][] {images[i]}, new float[][] {words[i]}))
            .isCloseTo(expected.get("scores").get(i).doubleValue(), CLOSE);
      }
      assertThat(TextAgreement.clipScore(images, words))
          .isCloseTo(expected.get("score").doubleValue(), CLOSE);
    }
  }

  @Test
  void aFolderOfAnotherModelIsRefused(@TempDir Path folder) throws IOException {
    try (Stream<Path> files = Files.list(FIXTURES.resolve("tiny-clip"))) {
      for (Path file : files.toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    Path config = folder.resolve("config.json");
    Files.writeString(
        config, Files.readString(config).replace("\"CLIPModel\"", "\"CLIPVisionModel\""));
    assertThatThrownBy(() -> ClipEmbeddings.open(folder, DeviceSpec.CPU))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("CLIPVisionModel")
        .hasMessageContaining("CLIPModel");
    Files.writeString(
        config, Files.readString(config).replace("\"CLIPVisionModel\"", "\"CLIPModel\""));
    Files.delete(folder.resolve("preprocessor_config.json"));
    assertThatThrownBy(() -> ClipEmbeddings.open(folder, DeviceSpec.CPU))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("image_processor");
  }
}
