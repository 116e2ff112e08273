/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelFilesTest {
  private static final List<String> PATHS =
      List.of(
          ".gitattributes",
          "README.md",
          "model_index.json",
          "v1.ckpt",
          "v1.safetensors",
          "vocabulary.json",
          "other/config.json",
          "safety_checker/config.json",
          "safety_checker/pytorch_model.bin",
          "tokenizer/merges.txt",
          "tokenizer/special_tokens_map.json",
          "tokenizer/vocab.json",
          "text_encoder/config.json",
          "text_encoder/model.fp16.safetensors",
          "text_encoder/model.safetensors",
          "text_encoder/model.onnx",
          "text_encoder/openvino_model.bin",
          "unet/config.json",
          "unet/deeper/config.json",
          "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
          "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
          "unet/diffusion_pytorch_model.bin",
          "unet/diffusion_pytorch_model.fp16.safetensors",
          "unet/diffusion_pytorch_model.non_ema.safetensors",
          "unet/diffusion_pytorch_model.safetensors.index.json");

  @TempDir Path folder;
  private Path index;

  @BeforeEach
  void writeIndex() throws IOException {
    index =
        Files.writeString(
            folder.resolve("model_index.json"),
            """
            {"_class_name": "StableDiffusionPipeline",
             "requires_safety_checker": true,
             "image_encoder": [null, null],
             "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
             "text_encoder": ["transformers", "CLIPTextModel"],
             "tokenizer": ["transformers", "CLIPTokenizer"],
             "unet": ["diffusers", "UNet2DConditionModel"]}
            """);
  }

  @Test
  void namesConfigsVocabulariesAndPlainWeights() {
    ModelFiles files = ModelFiles.of(index, PATHS, Optional.empty(), Set.of(), Set.of());

    assertThat(files.small())
        .containsExactlyInAnyOrder(
            "model_index.json",
            "vocabulary.json",
            "safety_checker/config.json",
            "tokenizer/merges.txt",
            "tokenizer/special_tokens_map.json",
            "tokenizer/vocab.json",
            "text_encoder/config.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors.index.json");
    assertThat(files.weights()).containsExactly("text_encoder/model.safetensors");
    assertThat(files.indexes())
        .containsExactly("unet/diffusion_pytorch_model.safetensors.index.json");
    assertThat(files.pickled()).containsOnlyKeys("safety_checker");
  }

  @Test
  void namesTheWeightsOfAVariant() {
    ModelFiles files =
        ModelFiles.of(index, PATHS, Optional.of("fp16"), Set.of("safety_checker"), Set.of());

    assertThat(files.weights())
        .containsExactly(
            "text_encoder/model.fp16.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors");
    assertThat(files.indexes()).isEmpty();
    assertThat(files.small()).noneMatch(path -> path.startsWith("safety_checker/"));
    assertThat(files.pickled()).isEmpty();
  }

  @Test
  void refusesAVariantThatNoComponentHas() {
    assertThatThrownBy(() -> ModelFiles.of(index, PATHS, Optional.of("bf16"), Set.of(), Set.of()))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("'bf16'")
        .hasMessageContaining("variants fp16, non_ema");
  }

  @Test
  void namesTheShardsOfAnIndex() throws IOException {
    Files.createDirectory(folder.resolve("unet"));
    Path shards = folder.resolve("unet/x.safetensors.index.json");
    Files.writeString(
        shards, "{\"weight_map\": {\"a\": \"2.safetensors\", \"b\": \"1.safetensors\"}}");

    assertThat(ModelFiles.shards(folder, "unet/x.safetensors.index.json"))
        .containsExactly("unet/1.safetensors", "unet/2.safetensors");

    Files.writeString(shards, "{\"weight_map\": {\"a\": \"../../2.safetensors\"}}");
    assertThatThrownBy(() -> ModelFiles.shards(folder, "unet/x.safetensors.index.json"))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("../../2.safetensors");
  }
}
