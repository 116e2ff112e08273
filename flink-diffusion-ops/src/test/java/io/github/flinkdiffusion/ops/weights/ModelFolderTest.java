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
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelFolderTest {
  @TempDir Path root;
  private Path model;

  @BeforeEach
  void makeAFolder() throws IOException {
    model = root.resolve("tiny-sd");
    write(
        "model_index.json",
        """
        {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.42.0",
         "unet": ["diffusers", "UNet2DConditionModel"], "text_encoder": ["transformers", "CLIPTextModel"],
         "scheduler": ["diffusers", "DDIMScheduler"], "tokenizer": ["transformers", "CLIPTokenizer"],
         "safety_checker": [null, null], "feature_extractor": null, "requires_safety_checker": false}
        """);
    write("unet/config.json", "{\"in_channels\": 4}");
    weights("unet/diffusion_pytorch_model.safetensors", 1);
    write("text_encoder/config.json", "{\"hidden_size\": 32}");
    weights("text_encoder/model.safetensors", 2);
    write(
        "scheduler/scheduler_config.json",
        "{\"lambda_min_clipped\": -Infinity, \"beta_start\": 0.00085}");
    write("tokenizer/vocab.json", "{}");
    write("tokenizer/merges.txt", "#version: 0.2\n");
  }

  private void write(String name, String content) {
    try {
      Files.createDirectories(model.resolve(name).getParent());
      Files.writeString(model.resolve(name), content);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private void weights(String name, float value) {
    SafetensorsWriter.write(
        model.resolve(name), HeapTensors.builder().add("w", new float[] {value}, 1).build());
  }

  private float weight(String component, String... variant) {
    try (TensorStore store =
        ModelFolder.open(model, List.of(variant).stream().findFirst())
            .component(component)
            .open()) {
      return store.floats("w")[0];
    }
  }

  @Test
  void readsTheIndexAndItsComponents() {
    ModelFolder folder = ModelFolder.open(model);
    assertThat(folder.name()).isEqualTo("tiny-sd");
    assertThat(folder.pipelineClass()).isEqualTo("StableDiffusionPipeline");
    assertThat(folder.componentNames())
        .containsExactly("scheduler", "text_encoder", "tokenizer", "unet");
    assertThat(folder.has("safety_checker")).isFalse();
    assertThat(folder.config().flag("requires_safety_checker", true)).isFalse();
    ModelComponent unet = folder.component("unet");
    assertThat(unet.className()).isEqualTo("UNet2DConditionModel");
    assertThat(unet.library()).isEqualTo("diffusers");
    assertThat(unet.config().integer("in_channels")).isEqualTo(4);
    assertThat(folder.component("scheduler").config().number("beta_start")).isEqualTo(0.00085);
    assertThat(folder.component("tokenizer").folder()).contains(model.resolve("tokenizer"));
    assertThat(weight("unet")).isEqualTo(1);
    assertThat(weight("text_encoder")).isEqualTo(2);
  }

  @Test
  void prefersPlainWeightsUnlessAVariantIsAsked() {
    weights("unet/diffusion_pytorch_model.fp16.safetensors", 16);
    weights("unet/diffusion_pytorch_model.non_ema.safetensors", 99);
    assertThat(weight("unet")).isEqualTo(1);
    assertThat(weight("unet", "fp16")).isEqualTo(16);
    assertThat(weight("text_encoder", "fp16")).as("has no fp16").isEqualTo(2);
  }

  @Test
  void takesTheOnlyVariantThereIs() throws IOException {
    Files.delete(model.resolve("unet/diffusion_pytorch_model.safetensors"));
    weights("unet/diffusion_pytorch_model.fp16.safetensors", 16);
    assertThat(weight("unet")).isEqualTo(16);
    weights("unet/diffusion_pytorch_model.bf16.safetensors", 17);
    assertThatThrownBy(() -> weight("unet"))
        .hasMessageContaining("exist only as variants [bf16, fp16]")
        .hasMessageContaining("diffusion.model.variant");
    assertThat(weight("unet", "bf16")).isEqualTo(17);
    assertThat(weight("unet", "fp16")).isEqualTo(16);
  }

  @Test
  void theLibraryDecidesWhichFileItIs() {
    weights("unet/model.safetensors", 50);
    weights("text_encoder/diffusion_pytorch_model.safetensors", 51);
    assertThat(weight("unet")).isEqualTo(1);
    assertThat(weight("text_encoder")).isEqualTo(2);
  }

  /** As diffusers and transformers do it where both are there. */
  @ParameterizedTest
  @CsvSource({"unet, diffusion_pytorch_model, 60", "text_encoder, model, 2"})
  void diffusersTakesShardsBeforeAFileAndTransformersAFileBeforeShards(
      String component, String base, float expected) {
    shard(component + "/" + base + "-00001-of-00001.safetensors", "w", 60);
    write(
        component + "/" + base + ".safetensors.index.json",
        "{\"weight_map\": {\"w\": \"" + base + "-00001-of-00001.safetensors\"}}");
    assertThat(weight(component)).isEqualTo(expected);
  }

  @Test
  void theClassDecidesWhichFileIsTheConfig() {
    write("scheduler/config.json", "{\"beta_start\": 1}");
    write("tokenizer/config.json", "{\"vocab_size\": 3}");
    write("tokenizer/tokenizer_config.json", "{\"model_max_length\": 9}");
    ModelFolder folder = ModelFolder.open(model);
    assertThat(folder.component("scheduler").config().number("beta_start")).isEqualTo(0.00085);
    assertThat(folder.component("tokenizer").config().integer("model_max_length")).isEqualTo(9);
    assertThat(ModelIndex.configOf("CLIPFeatureExtractor")).isEqualTo("preprocessor_config.json");
    assertThat(ModelIndex.configOf("CLIPImageProcessor")).isEqualTo("preprocessor_config.json");
    assertThat(ModelIndex.configOf("StableDiffusionSafetyChecker")).isEqualTo("config.json");
  }

  @Test
  void refusesAVariantThatNoComponentHas() {
    assertThatThrownBy(() -> ModelFolder.open(model, Optional.of("fp16")))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("no component has weights of variant 'fp16'");
  }

  @Test
  void readsShardedWeights() throws IOException {
    Files.delete(model.resolve("unet/diffusion_pytorch_model.safetensors"));
    shard("unet/diffusion_pytorch_model-00001-of-00002.safetensors", "a", 1);
    shard("unet/diffusion_pytorch_model-00002-of-00002.safetensors", "b", 2);
    index(
        "{\"a\": \"diffusion_pytorch_model-00001-of-00002.safetensors\","
            + " \"b\": \"diffusion_pytorch_model-00002-of-00002.safetensors\"}");
    ModelComponent unet = ModelFolder.open(model).component("unet");
    assertThat(unet.weightFiles()).hasSize(2);
    try (TensorStore store = unet.open()) {
      assertThat(store.names()).containsExactlyInAnyOrder("a", "b");
      assertThat(store.floats("a")).containsExactly(1);
      assertThat(store.floats("b")).containsExactly(2);
      assertThatThrownBy(() -> store.floats("c"))
          .hasMessageContaining("diffusion_pytorch_model.safetensors.index.json: no tensor 'c'");
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "diffusion_pytorch_model.safetensors.index.fp16.json",
        "diffusion_pytorch_model.safetensors.fp16.index.json"
      })
  void readsShardedVariants(String index) {
    shard("unet/diffusion_pytorch_model-00001-of-00001.fp16.safetensors", "w", 16);
    write(
        "unet/" + index,
        "{\"weight_map\": {\"w\": \"diffusion_pytorch_model-00001-of-00001.fp16.safetensors\"}}");
    assertThat(weight("unet", "fp16")).isEqualTo(16);
    assertThat(weight("unet")).isEqualTo(1);
  }

  /** As diffusers 0.42 writes them; the names of the shards hold the variant and a number. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "diffusion_pytorch_model.safetensors.index.fp16.json",
        "diffusion_pytorch_model.safetensors.fp16.index.json"
      })
  void readsShardsThatAreTheOnlyVariant(String index) throws IOException {
    Files.delete(model.resolve("unet/diffusion_pytorch_model.safetensors"));
    shard("unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors", "w", 16);
    shard("unet/diffusion_pytorch_model.fp16-00002-of-00002.safetensors", "v", 17);
    write(
        "unet/" + index,
        "{\"weight_map\": {\"w\": \"diffusion_pytorch_model.fp16-00001-of-00002.safetensors\","
            + " \"v\": \"diffusion_pytorch_model.fp16-00002-of-00002.safetensors\"}}");
    assertThat(weight("unet")).isEqualTo(16);
    assertThat(weight("unet", "fp16")).isEqualTo(16);
    assertThat(ModelFolder.open(model).component("unet").weightFiles()).hasSize(2);
  }

  private void shard(String file, String name, float value) {
    SafetensorsWriter.write(
        model.resolve(file), HeapTensors.builder().add(name, new float[] {value}, 1).build());
  }

  private void index(String weightMap) {
    write(
        "unet/diffusion_pytorch_model.safetensors.index.json",
        "{\"metadata\": {\"total_size\": 8}, \"weight_map\": " + weightMap + "}");
  }

  @Test
  void refusesAShardedModelThatIsNotWhatItsIndexSays() throws IOException {
    Files.delete(model.resolve("unet/diffusion_pytorch_model.safetensors"));
    shard("unet/shard.safetensors", "a", 1);
    index("{\"a\": \"shard.safetensors\", \"b\": \"missing.safetensors\"}");
    assertThatThrownBy(() -> weight("unet"))
        .hasMessageContaining("shard 'missing.safetensors' is missing");
    index("{\"a\": \"shard.safetensors\", \"b\": \"shard.safetensors\"}");
    assertThatThrownBy(() -> weight("unet"))
        .hasMessageContaining("'shard.safetensors' does not hold tensor 'b'");
    index("[]");
    assertThatThrownBy(() -> weight("unet")).hasMessageContaining("no object 'weight_map'");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"../secret.safetensors\"",
        "\"/etc/passwd\"",
        "\"a/b\"",
        "\"..\"",
        "\"\"",
        "7",
        "\"a\\\\b\""
      })
  void refusesAShardOutsideTheFolder(String file) throws IOException {
    Files.delete(model.resolve("unet/diffusion_pytorch_model.safetensors"));
    index("{\"a\": " + file + "}");
    assertThatThrownBy(() -> weight("unet"))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("expected the name of a file beside the index");
  }

  @ParameterizedTest
  @ValueSource(strings = {"diffusion_pytorch_model.bin", "model.ckpt"})
  void refusesPickledWeightsAndSaysHowToConvert(String pickle) throws IOException {
    Files.delete(model.resolve("unet/diffusion_pytorch_model.safetensors"));
    write("unet/" + pickle, "\u0080\u0002");
    ModelFolder folder = ModelFolder.open(model);
    assertThat(folder.component("unet").config().integer("in_channels")).isEqualTo(4);
    assertThatThrownBy(() -> folder.component("unet").open())
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining(model.resolve("unet").toString())
        .hasMessageContaining(pickle)
        .hasMessageContaining("runs whatever code it holds")
        .hasMessageContaining("save_pretrained(newFolder, safe_serialization=True)");
  }

  @Test
  void namesWhatIsMissing() throws IOException {
    Files.delete(model.resolve("unet/diffusion_pytorch_model.safetensors"));
    Files.delete(model.resolve("unet/config.json"));
    ModelComponent unet = ModelFolder.open(model).component("unet");
    assertThatThrownBy(unet::open)
        .hasMessageContaining("No weights in " + model.resolve("unet"))
        .hasMessageContaining("diffusion_pytorch_model.safetensors");
    assertThatThrownBy(unet::config)
        .hasMessageContaining("unet")
        .hasMessageContaining("config.json");
    assertThatThrownBy(() -> ModelFolder.open(model).component("vae"))
        .hasMessageContaining(
            "no component 'vae'; it has [scheduler, text_encoder, tokenizer, unet]");
    Files.delete(model.resolve("unet"));
    ModelFolder partial = ModelFolder.open(model);
    assertThat(partial.has("unet")).isTrue();
    assertThat(partial.lacks("unet")).isTrue();
    assertThat(partial.componentNames()).doesNotContain("unet");
    assertThatThrownBy(() -> partial.component("unet"))
        .hasMessageContaining("sub-folder 'unet' is missing")
        .hasMessageContaining("UNet2DConditionModel");
  }

  @Test
  void saysWhatAFolderThatIsNoModelIs() throws IOException {
    assertThatThrownBy(() -> ModelFolder.open(root.resolve("nowhere")))
        .hasMessageContaining("does not exist");
    Path other = Files.createDirectory(root.resolve("other"));
    assertThatThrownBy(() -> ModelFolder.open(other))
        .hasMessageContaining("has no model_index.json; expected");
    Files.writeString(other.resolve("sd15.ckpt"), "");
    assertThatThrownBy(() -> ModelFolder.open(other))
        .hasMessageContaining("single-file checkpoint")
        .hasMessageContaining(other.resolve("sd15.ckpt").toString());
    assertThatThrownBy(() -> ModelFolder.open(other.resolve("sd15.ckpt")))
        .hasMessageContaining("pickled")
        .hasMessageContaining("from_single_file");
  }

  @Test
  void refusesComponentNamesThatArePaths() {
    write("model_index.json", "{\"../unet\": [\"diffusers\", \"UNet2DModel\"]}");
    assertThatThrownBy(() -> ModelFolder.open(model))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("'../unet'");
  }

  @Test
  void digestFollowsContentAndNotPlace() throws IOException {
    String digest = ModelFolder.open(model).digest();
    assertThat(digest).hasSize(64).isEqualTo(ModelFolder.open(model).digest());

    Files.writeString(model.resolve("unet/README.md"), "not an input");
    weights("unet/diffusion_pytorch_model.non_ema.safetensors", 9);
    assertThat(ModelFolder.open(model).digest()).as("files that are not read").isEqualTo(digest);

    Path moved = root.resolve("elsewhere");
    Files.move(model, moved);
    assertThat(ModelFolder.open(moved).digest()).as("another place").isEqualTo(digest);
    Files.move(moved, model);

    write("tokenizer/merges.txt", "#version: 0.2\na b\n");
    String withMerges = ModelFolder.open(model).digest();
    assertThat(withMerges).isNotEqualTo(digest);
    weights("unet/diffusion_pytorch_model.safetensors", 1.5f);
    assertThat(ModelFolder.open(model).digest()).isNotEqualTo(withMerges);
  }

  @Test
  void digestOfTheComponentsInUseIgnoresTheOthers() {
    ModelFolder folder = ModelFolder.open(model);
    String digest = folder.digest(List.of("unet", "scheduler"));
    assertThat(folder.digest(List.of("scheduler", "unet")))
        .isEqualTo(digest)
        .isNotEqualTo(folder.digest());
    weights("text_encoder/model.safetensors", 3);
    assertThat(folder.digest(List.of("unet", "scheduler"))).isEqualTo(digest);
  }

  @ParameterizedTest
  @CsvSource({
    "/models/tiny-sd, tiny-sd",
    "/out/first/model, first",
    "/out/second/model/model, second",
    "/out/third/model.safetensors, third",
    "/models/my-model, my-model",
    "/model, model",
    "/, model"
  })
  void aModelIsCalledByWhatTellsItApart(String path, String name) {
    assertThat(ModelFolder.name(Path.of(path))).isEqualTo(name);
  }
}
