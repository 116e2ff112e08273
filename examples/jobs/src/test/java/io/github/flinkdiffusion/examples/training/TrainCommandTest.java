/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.network.EfficientNetLite;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Trainings of each kind from pictures and captions, by the command. */
class TrainCommandTest extends TrainingCase {
  @Test
  void anUnconditionalModelIsTrainedDrawnAndTakenUpAgain() throws Exception {
    String recipe = recipe("unconditional", "tiny-ddpm", 4, "");
    assertThat(train(recipe)).isZero();
    Path out = folder.resolve("out");
    assertThat(Files.readAllLines(out.resolve("loss.csv"))).hasSize(1 + 4);
    assertThat(out.resolve("loss.png")).isNotEmptyFile();
    Raster sheet = Images.read(out.resolve("samples/step-000004.png"), ReadOptions.DEFAULT);
    assertThat(sheet.width()).isGreaterThan(32);
    assertThat(out.resolve("model/unet/diffusion_pytorch_model.safetensors")).isNotEmptyFile();
    // The rate's shape depends on the number of steps, so the recipe may only be run again.
    assertThat(train(recipe)).isZero();
    assertThat(Files.readAllLines(out.resolve("loss.csv"))).hasSize(1 + 4);
    assertThat(EventTags.in(out.resolve("tensorboard")))
        .contains("brain.Event:2", "loss", "learning_rate", "gradient_norm", "samples");
  }

  @Test
  void aModelOfPixelsIsMeasuredBesidePhotographsAndSaysWhatItKnows() throws Exception {
    Path model = folder.resolve("base");
    copy(MODELS.resolve("tiny-ddpm"), model);
    Files.writeString(model.resolve("domain.json"), "{}");
    Path list = Files.writeString(folder.resolve("held-out.txt"), "2.png\n");
    Path only = Files.writeString(folder.resolve("only.txt"), "0.png\n2.png\n");
    Path weights = folder.resolve("weights.safetensors");
    String recipe =
        recipe(
                "unconditional",
                "tiny-ddpm",
                2,
                "measure: {weights: %s, held_out: %s, count: 3}".formatted(weights, list))
            .replace("mirrored: true", "only: " + only)
            .replace(MODELS.resolve("tiny-ddpm").toAbsolutePath().toString(), model.toString());
    assertThat(train(recipe)).as("a held-out image is trained on").isEqualTo(1);
    Files.writeString(only, "0.png\n1.png\n");
    assertThat(train(recipe)).isZero();
    Path out = folder.resolve("out");
    assertThat(out.resolve("README.md")).content().contains("Not measured", weights.toString());
    assertThat(out.resolve("measures.json")).doesNotExist();
    assertThat(out.resolve("model/domain.json")).exists();
    zeros(EfficientNetLite.graph(), weights);
    assertThat(train(recipe)).as("again, to measure").isZero();
    assertThat(out.resolve("README.md"))
        .content()
        .contains(
            "![Samples](samples/step-000002.png)",
            "| noise | 0.0000 |",
            " s on this machine",
            "2 were trained on, 1 were held out");
    assertThat(out.resolve("measures.json")).content().contains("EfficientNet-Lite0", "heldOut");
    assertThatThrownBy(
            () ->
                Recipe.read(
                    Files.writeString(
                        folder.resolve("no.yaml"), "task: text\nmeasure: {count: 3}\n")))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("measure");
  }

  @Test
  void layersAreTrainedAsLengthsAndDirectionsAndWrittenPlain() throws Exception {
    String recipe = recipe("unconditional", "tiny-ddpm", 2, "weight_normalization: true");
    assertThat(train(recipe)).isZero();
    Path file = Path.of("unet/diffusion_pytorch_model.safetensors");
    try (TensorStore before = Safetensors.open(MODELS.resolve("tiny-ddpm").resolve(file));
        TensorStore after = Safetensors.open(folder.resolve("out/model").resolve(file));
        TensorStore state = state(folder.resolve("out/state"))) {
      assertThat(after.names()).isEqualTo(before.names());
      assertThat(state.names()).anyMatch(name -> name.endsWith("conv_in.weight_g"));
      assertThat(after.floats("conv_in.weight"))
          .isNotEqualTo(before.floats("conv_in.weight"))
          .usingComparatorWithPrecision(0.05f)
          .containsExactly(before.floats("conv_in.weight"));
    }
    assertThat(train(recipe)).as("again").isZero();
    assertThatThrownBy(
            () ->
                Recipe.read(
                    Files.writeString(
                        folder.resolve("no.yaml"), "task: lora\nweight_normalization: true\n")))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("task lora");
  }

  private static TensorStore state(Path folder) throws IOException {
    try (var files = Files.list(folder)) {
      return Safetensors.open(
          files.filter(each -> each.toString().endsWith(".safetensors")).findFirst().orElseThrow());
    }
  }

  /** Features that are all 0, of which every distance is 0. */
  private static void zeros(Graph graph, Path file) {
    HeapTensors.Builder tensors = HeapTensors.builder();
    graph
        .parameterShapes()
        .forEach((name, shape) -> tensors.add(name, new float[(int) Graph.elements(shape)], shape));
    SafetensorsWriter.write(file, tensors.build());
  }

  @Test
  void adaptersAreTrainedAndDrawn() throws Exception {
    assertThat(
            train(
                recipe(
                    "lora",
                    "tiny-sd1",
                    2,
                    "lora: {rank: 2, text_encoder: true}\n"
                        + "loss: {weight: min_snr, noise_offset: 0.1}\n"
                        + "optimizer: {name: lion}\n"
                        + "arithmetic: mixed_bfloat16\n"
                        + "dropout: 0.1")))
        .isZero();
    try (TensorStore lora =
        Safetensors.open(folder.resolve("out/pytorch_lora_weights.safetensors"))) {
      assertThat(lora.names())
          .anyMatch(name -> name.startsWith("text_encoder."))
          .anyMatch(name -> name.startsWith("unet."));
    }
    assertThat(folder.resolve("out/samples/step-000002.png")).isNotEmptyFile();
  }

  /** Its network predicts twice as many channels: the noise, and shares of variances. */
  @Test
  void aNetworkThatLearnsVariancesIsTrainedFromScratch() throws Exception {
    Path model = folder.resolve("configs");
    Path base = MODELS.resolve("tiny-ddpm");
    for (String file :
        List.of("model_index.json", "unet/config.json", "scheduler/scheduler_config.json")) {
      String json =
          Files.readString(base.resolve(file))
              .replace("\"out_channels\": 3", "\"out_channels\": 6")
              .replace("fixed_small", "learned_range");
      Files.createDirectories(model.resolve(file).getParent());
      Files.writeString(model.resolve(file), json);
    }
    String recipe =
        recipe("unconditional", "tiny-ddpm", 2, "")
            .replace(base.toAbsolutePath().toString(), model.toString());
    assertThat(train(recipe)).isZero();
    assertThat(folder.resolve("out/samples/step-000002.png")).isNotEmptyFile();
  }

  @Test
  void aNewWordIsTrainedAndDrawn() throws Exception {
    assertThat(
            train(
                recipe("inversion", "tiny-sd1", 2, "token: {word: <thing>, initial: cat, count: 2}")
                    .replace("mirrored: true", "mirrored: true, caption: 'a photo of a {token}'")))
        .isZero();
    try (TensorStore rows = Safetensors.open(folder.resolve("out/learned_embeds.safetensors"))) {
      assertThat(rows.info("<thing>").shape()[0]).isEqualTo(2);
    }
    assertThat(folder.resolve("out/samples/step-000002.png")).isNotEmptyFile();
    assertThat(folder.resolve("out/model/tokenizer/added_tokens.json"))
        .content()
        .contains("<thing>_1");
  }

  @Test
  void aWholeModelAndAnAutoencoderAreTrained() throws Exception {
    assertThat(
            train(recipe("text", "tiny-sd1", 2, "loss: {train_text_encoder: true}\ndropout: 0.1")))
        .isZero();
    assertThat(folder.resolve("out/model/text_encoder/model.safetensors")).isNotEmptyFile();
    String autoencoder =
        recipe(
                "autoencoder",
                "tiny-sd1",
                2,
                "autoencoder: {edges: 0.5, warm_up: 10}\narithmetic: mixed_bfloat16")
            .replace(folder.resolve("out").toString(), folder.resolve("vae").toString());
    assertThat(train(autoencoder)).isZero();
    assertThat(folder.resolve("vae/model/vae/diffusion_pytorch_model.safetensors"))
        .isNotEmptyFile();
  }
}
