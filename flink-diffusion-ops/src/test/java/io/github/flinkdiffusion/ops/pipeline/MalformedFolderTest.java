/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.delete;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.deleteFolder;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.half;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.header;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.headerLength;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.longer;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.number;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.offsets;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.pickled;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.set;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.shape;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.shards;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.shorter;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.tensor;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.truncated;
import static io.github.flinkdiffusion.ops.pipeline.FolderDamage.write;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.TensorInfo;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Whatever is wrong with a model folder, opening it as a pipeline is one error that names the file
 * and the key, before anything native sees it.
 */
class MalformedFolderTest {
  private static final Path GOOD = Path.of("src/test/resources/fixtures/models/tiny-sd1");
  private static final String UNET = "unet/diffusion_pytorch_model.safetensors";
  private static final String VAE = "vae/diffusion_pytorch_model.safetensors";
  private static final String TEXT = "text_encoder/model.safetensors";

  @TempDir private Path temp;

  /**
   * @param named what the message says, among it the file
   */
  private record Case(String name, FolderDamage damage, List<String> named) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static Case damaged(String name, FolderDamage damage, String... named) {
    return new Case(name, damage, List.of(named));
  }

  static Stream<Case> cases() {
    return Stream.of(
        // The folder.
        damaged("no index", delete("model_index.json"), "model_index.json"),
        damaged("an empty index", write("model_index.json", ""), "model_index.json"),
        damaged("half an index", half("model_index.json"), "model_index.json", "JSON"),
        damaged(
            "an unknown pipeline",
            set("model_index.json", "_class_name", "\"FancyPipeline\""),
            "model_index.json",
            "_class_name",
            "FancyPipeline",
            "StableDiffusionPipeline"),
        damaged(
            "an unknown network class",
            set("model_index.json", "unet", "[\"diffusers\", \"FancyModel\"]"),
            "model_index.json",
            "unet",
            "FancyModel",
            "UNet2DConditionModel"),
        damaged("no such component", set("model_index.json", "vae", "null"), "vae"),
        damaged("a component's folder is missing", deleteFolder("vae"), "vae", "missing"),
        // Configs.
        damaged("no config", delete("unet/config.json"), "unet", "config.json"),
        damaged("half a config", half("unet/config.json"), "unet/config.json", "JSON"),
        damaged("a list for a config", write("vae/config.json", "[]"), "vae/config.json"),
        damaged(
            "a config of brackets",
            write("unet/config.json", "[".repeat(100_000)),
            "unet/config.json"),
        damaged(
            "a word for a number",
            set("unet/config.json", "in_channels", "\"four\""),
            "unet/config.json",
            "in_channels",
            "four"),
        damaged(
            "an unknown block",
            set("unet/config.json", "down_block_types", "[\"FancyBlock2D\"]"),
            "unet/config.json",
            "down_block_types",
            "FancyBlock2D"),
        damaged(
            "channels that no group divides",
            set("unet/config.json", "norm_num_groups", "7"),
            "unet/config.json",
            "block_out_channels"),
        damaged(
            "groups of nothing",
            set("vae/config.json", "norm_num_groups", "0"),
            "vae/config.json",
            "norm_num_groups"),
        damaged(
            "a billion layers of text",
            set("text_encoder/config.json", "num_hidden_layers", "1000000000"),
            "text_encoder/config.json",
            "num_hidden_layers"),
        damaged(
            "a billion layers a block",
            set("unet/config.json", "layers_per_block", "1000000000"),
            "unet/config.json",
            "layers_per_block"),
        damaged(
            "a billion transformer layers",
            set("unet/config.json", "transformer_layers_per_block", "1000000000"),
            "unet/config.json",
            "transformer_layers_per_block"),
        damaged(
            "a billion layers of the autoencoder",
            set("vae/config.json", "layers_per_block", "1000000000"),
            "vae/config.json",
            "layers_per_block"),
        damaged(
            "no layers",
            set("unet/config.json", "layers_per_block", "0"),
            "unet/config.json",
            "layers_per_block"),
        damaged(
            "less than no channels",
            set("unet/config.json", "in_channels", "-4"),
            "unet/config.json",
            "in_channels"),
        damaged(
            "channels beyond counting",
            set("unet/config.json", "cross_attention_dim", "2147483647"),
            "unet/config.json",
            "cross_attention_dim"),
        damaged(
            "more words than the embedding has",
            set("text_encoder/config.json", "vocab_size", "10000000"),
            TEXT,
            "text_model.embeddings.token_embedding.weight"),
        damaged(
            "a picture's side beyond counting",
            set("unet/config.json", "sample_size", "\"huge\""),
            "unet/config.json",
            "sample_size"),
        // Weights.
        damaged("no weights", delete(UNET), "unet", "diffusion_pytorch_model.safetensors"),
        damaged("only pickled weights", pickled(UNET), "unet", "pickled", "save_pretrained"),
        damaged("empty weights", write(UNET, ""), UNET, "0 bytes"),
        damaged("a zip for weights", write(UNET, "PK\3\4 and so on, a pickle"), UNET, "header"),
        damaged("half the weights", half(UNET), UNET, "data_offsets", "complete"),
        damaged("weights less a byte", shorter(UNET, 1), UNET, "data"),
        damaged("weights and a byte", longer(UNET), UNET, "tensors end at"),
        damaged("half a header", truncated(UNET, 100), UNET, "header", "complete"),
        damaged(
            "a header of 2^63 bytes", headerLength(UNET, Long.MAX_VALUE), UNET, "header", "2 to"),
        damaged("a header of -1 bytes", headerLength(UNET, -1), UNET, "header", "2 to"),
        damaged("a header of 99 MB", headerLength(UNET, 99_000_000), UNET, "header", "complete"),
        damaged("a header that ends early", headerLength(UNET, 64), UNET, "JSON"),
        damaged(
            "offsets beyond the file",
            header(VAE, h -> offsets(h, "decoder.conv_in.bias", 0, 1L << 40)),
            VAE,
            "decoder.conv_in.bias",
            "data_offsets"),
        damaged(
            "offsets of another tensor",
            header(VAE, h -> offsets(h, "decoder.conv_in.bias", 96, 192)),
            VAE,
            "begins at"),
        damaged(
            "a shape beyond 2^63",
            header(VAE, h -> shape(h, "decoder.conv_in.bias", 1L << 62, 1L << 62)),
            VAE,
            "decoder.conv_in.bias",
            "2^63"),
        damaged(
            "a shape that its bytes do not fill",
            header(VAE, h -> shape(h, "decoder.conv_in.bias", 17)),
            VAE,
            "decoder.conv_in.bias"),
        damaged(
            "a shape below zero",
            header(VAE, h -> shape(h, "decoder.conv_in.bias", -16)),
            VAE,
            "decoder.conv_in.bias"),
        damaged(
            "an unknown dtype",
            header(VAE, h -> ((ObjectNode) h.get("decoder.conv_in.bias")).put("dtype", "F4")),
            VAE,
            "decoder.conv_in.bias",
            "F4"),
        damaged(
            "a tensor of another shape",
            tensor(UNET, "conv_in.bias", info -> TensorInfo.of("conv_in.bias", DType.F32, 3)),
            UNET,
            "conv_in.bias",
            "[3]",
            "[16]"),
        damaged(
            "a tensor of whole numbers",
            tensor(UNET, "conv_in.bias", info -> TensorInfo.of("conv_in.bias", DType.I32, 16)),
            UNET,
            "conv_in.bias",
            "I32"),
        damaged(
            "a tensor that is missing",
            tensor(UNET, "conv_in.bias", info -> info.withName("elsewhere")),
            UNET,
            "conv_in.bias"),
        damaged(
            "a tensor that is missing in the autoencoder",
            tensor(VAE, "decoder.conv_in.bias", info -> info.withName("elsewhere")),
            VAE,
            "decoder.conv_in.bias"),
        damaged(
            "NaN",
            number(UNET, "conv_in.weight", 5, Float.NaN),
            UNET,
            "conv_in.weight",
            "NaN",
            "element 5"),
        damaged(
            "infinity",
            number(VAE, "decoder.conv_in.bias", 0, Float.NEGATIVE_INFINITY),
            VAE,
            "decoder.conv_in.bias",
            "Infinity"),
        damaged(
            "NaN in the text encoder",
            number(TEXT, "text_model.final_layer_norm.bias", 1, Float.NaN),
            TEXT,
            "text_model.final_layer_norm.bias"),
        damaged("an index of shards that is no JSON", shards(UNET, "{"), "index.json"),
        damaged(
            "a shard outside the folder",
            shards(UNET, "{\"weight_map\": {\"conv_in.bias\": \"../vae/x.safetensors\"}}"),
            "index.json",
            "conv_in.bias",
            "../vae"),
        damaged(
            "a shard that is missing",
            shards(UNET, "{\"weight_map\": {\"conv_in.bias\": \"one.safetensors\"}}"),
            "index.json",
            "one.safetensors",
            "missing"),
        // Scheduler and tokenizer.
        damaged("no scheduler config", delete("scheduler/scheduler_config.json"), "scheduler"),
        damaged(
            "a noise schedule that is no number",
            set("scheduler/scheduler_config.json", "beta_end", "\"large\""),
            "beta_end"),
        damaged(
            "a trillion timesteps",
            set("scheduler/scheduler_config.json", "num_train_timesteps", "1000000000000"),
            "num_train_timesteps"),
        damaged(
            "two billion timesteps",
            set("scheduler/scheduler_config.json", "num_train_timesteps", "2000000000"),
            "num_train_timesteps"),
        damaged("no vocabulary", delete("tokenizer/vocab.json"), "vocab.json"),
        damaged("no merges", delete("tokenizer/merges.txt"), "merges.txt"),
        damaged("merges of three", write("tokenizer/merges.txt", "a b c\n"), "merges.txt", "a b c"),
        damaged(
            "a token that the embedding lacks",
            set("tokenizer/vocab.json", "!", "5000"),
            "text_encoder/config.json",
            "vocab_size",
            "5001"),
        damaged(
            "a token beyond counting",
            set("tokenizer/vocab.json", "!", "2147483647"),
            "vocab.json",
            "2147483647"),
        damaged(
            "padding that the text encoder is not to see",
            set("text_encoder/config.json", "use_attention_mask", "true"),
            "text_encoder/config.json",
            "use_attention_mask"),
        damaged(
            "texts longer than the positions",
            set("tokenizer/tokenizer_config.json", "model_max_length", "1000"),
            "max_position_embeddings"));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void isOneErrorThatNamesFileAndKey(Case damaged) throws IOException {
    Path folder = copy();
    damaged.damage.to(folder);
    assertThatThrownBy(() -> openAndReadAll(folder))
        .isInstanceOf(RuntimeException.class)
        .hasMessageContainingAll(damaged.named.toArray(String[]::new))
        .satisfies(
            thrown ->
                assertThat(thrown.getClass().getPackageName())
                    .as("says so itself: %s", thrown)
                    .startsWith("io.github.flinkdiffusion"));
  }

  /** What is wrong with an element is found by a thread that reads all of them. */
  private static void openAndReadAll(Path folder) {
    try (DiffusionPipeline pipeline = open(folder, Precision.FLOAT32)) {
      assertThat(pipeline.model().info().digest()).isNotEmpty();
    }
  }

  @Test
  void theFolderThatIsNotDamagedOpens() throws IOException {
    openAndReadAll(copy());
  }

  @ParameterizedTest
  @CsvSource({UNET + ",conv_in.weight", VAE + ",decoder.conv_in.bias"})
  void noImageComesOfWeightsThatAreNotFiniteAndTheyAreBlamedForIt(String file, String tensor)
      throws IOException {
    Path folder = copy();
    number(file, tensor, 0, Float.NaN).to(folder);
    try (DiffusionPipeline pipeline = open(folder, Precision.FLOAT32)) {
      GenerationSpec spec =
          GenerationSpec.of("1").with(Parameters.PROMPT, "a cat").with(Parameters.STEPS, 2L);
      List<Trajectory> alone = pipeline.start(List.of(pipeline.model().prepare(spec)));
      assertThatThrownBy(
              () -> {
                while (!alone.get(0).done()) {
                  pipeline.step(alone);
                }
                pipeline.finish(alone);
              })
          .isInstanceOf(WeightsException.class)
          .hasMessageContainingAll(file, tensor, "NaN", "element 0");
    }
  }

  @Test
  void aNumberThatHalfPrecisionCanNotHoldIsNamed() throws IOException {
    Path folder = copy();
    number(UNET, "conv_in.weight", 2, 1e6f).to(folder);
    open(folder, Precision.FLOAT32).close();
    assertThatThrownBy(() -> open(folder, Precision.FLOAT16))
        .hasMessageContainingAll(UNET, "conv_in.weight", "1000000.0", "F16");
  }

  @Test
  void damagedWeightsLeaveNoKeptFile() throws IOException {
    Path folder = copy();
    number(TEXT, "text_model.final_layer_norm.bias", 0, Float.NaN).to(folder);
    Path archives = temp.resolve("archives");
    // In another precision than the file's, so that weights are converted.
    PipelineSettings settings =
        PipelineSettings.on(DeviceSpec.CPU)
            .withPrecision(Precision.BFLOAT16)
            .withArchives(archives);
    assertThatThrownBy(() -> Pipelines.open(folder, settings)).hasMessageContaining("NaN");
    assertThat(archives).isEmptyDirectory();
  }

  @Test
  void anUnknownSchedulerIsToldToRequestsThatNameNoOther() throws IOException {
    Path folder = copy();
    set("model_index.json", "scheduler", "[\"diffusers\", \"FancyScheduler\"]").to(folder);
    try (DiffusionPipeline pipeline = open(folder, Precision.FLOAT32)) {
      GenerationSpec spec = GenerationSpec.of("1").with(Parameters.PROMPT, "a cat");
      assertThatThrownBy(() -> pipeline.model().prepare(spec))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContainingAll("FancyScheduler", "PNDMScheduler");
      GenerationSpec other = spec.with(Parameters.SCHEDULER, "DDIMScheduler");
      assertThat(pipeline.model().prepare(other).scheduler()).isEqualTo("DDIMScheduler");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"HeunDiscreteScheduler", "IPNDMScheduler"})
  void theUpscalersNoiseLevelsAreThoseOfASchedulerThatHasOneCallEach(String scheduler)
      throws IOException {
    Path folder = copy(GOOD.resolveSibling("tiny-x4-upscaler"));
    set("model_index.json", "low_res_scheduler", "[\"diffusers\", \"%s\"]".formatted(scheduler))
        .to(folder);
    assertThatThrownBy(() -> open(folder, Precision.FLOAT32))
        .hasMessageContainingAll("low_res_scheduler", scheduler, "DDPMScheduler");
  }

  private static DiffusionPipeline open(Path folder, Precision precision) {
    return Pipelines.open(folder, PipelineSettings.on(DeviceSpec.CPU).withPrecision(precision));
  }

  private Path copy() throws IOException {
    return copy(GOOD);
  }

  private Path copy(Path source) throws IOException {
    Path copy = temp.resolve("model");
    try (Stream<Path> files = Files.walk(source)) {
      for (Path file : files.filter(f -> !f.startsWith(source.resolve("golden"))).toList()) {
        Files.copy(file, copy.resolve(source.relativize(file).toString()));
      }
    }
    return copy;
  }
}
