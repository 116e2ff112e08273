/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.network.EfficientNetLite;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class TrainCommandTest {
  private static final Path MODELS =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/models");

  @TempDir private Path folder;

  private Path data() throws IOException {
    Path data = Files.createDirectories(folder.resolve("data"));
    for (int i = 0; i < 3; i++) {
      Raster image = Raster.filled(3, 20, 24, 0.2f + 0.3f * i);
      Files.write(data.resolve(i + ".png"), Images.write(image, "image/png"));
      Files.writeString(data.resolve(i + ".txt"), "a small cat");
    }
    return data;
  }

  private int train(String recipe) throws IOException {
    Path file = Files.writeString(folder.resolve("recipe.yaml"), recipe);
    return new CommandLine(new TrainCommand()).execute("--config", file.toString());
  }

  private String recipe(String task, String model, int steps, String more) throws IOException {
    return """
    task: %s
    model: %s
    out: %s
    data: {layout: captions, path: %s, mirrored: true, random_crop: true}
    side: 16
    batch: 2
    steps: %d
    save_every: 2
    rate: {peak: 1.0e-3, warm_up: 1}
    samples: {every: 2, count: 2, steps: 2}
    %s
    """
        .formatted(
            task,
            MODELS.resolve(model).toAbsolutePath(),
            folder.resolve("out"),
            data(),
            steps,
            more);
  }

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
    assertThat(tags(out.resolve("tensorboard")))
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

  /** A recipe that is not valid would be noticed by whoever follows a page. */
  @Test
  void theExamplesRecipesAreValid() throws Exception {
    try (var files = Files.list(Path.of("../recipes"))) {
      List<Path> recipes = files.filter(each -> each.toString().endsWith(".yaml")).toList();
      assertThat(recipes).isNotEmpty();
      for (Path recipe : recipes) {
        assertThat(Recipe.read(recipe).out()).startsWithRaw(Path.of("out"));
      }
    }
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

  /** It is asked with guidance, so it must know the empty prompt. */
  @Test
  void aPrunedStudentLearnsTheEmptyPromptToo() throws Exception {
    String text =
        recipe(
            "distill", "tiny-sd1", 2, "distillation: {kind: pruned}\nloss: {prompt_dropout: 1.0}");
    Recipe recipe = Recipe.read(Files.writeString(folder.resolve("recipe.yaml"), text));
    try (TrainingTask task = TrainCommand.task(recipe, recipe.examples())) {
      HostTensor[] inputs = task.at(0);
      HostTensor.Longs ids = (HostTensor.Longs) inputs[inputs.length - 1];
      int tokens = (int) ids.shape()[1];
      // Nothing but the padding is behind the two ends of an empty prompt.
      assertThat(Arrays.stream(ids.data(), 2, tokens).distinct().count()).isEqualTo(1);
      assertThat(Arrays.copyOfRange(ids.data(), tokens, 2 * tokens))
          .isEqualTo(Arrays.copyOfRange(ids.data(), 0, tokens));
    }
  }

  /** The texts in all records, whose checksums are computed here. */
  @Test
  void aTrainingThatGoesOnWithinTheSecondBeginsAnotherFile() throws Exception {
    Clock clock = Clock.fixed(Instant.ofEpochSecond(1_700_000_000), ZoneOffset.UTC);
    for (int step = 1; step <= 2; step++) {
      try (EventFile events = new EventFile(folder, clock)) {
        events.scalar("loss-" + step, step, 0.5f);
      }
    }
    assertThat(tags(folder)).contains("loss-1", "loss-2");
  }

  private static List<String> tags(Path events) throws IOException {
    List<String> tags = new ArrayList<>();
    try (var files = Files.list(events)) {
      for (Path file : files.toList()) {
        byte[] bytes = Files.readAllBytes(file);
        ByteBuffer records = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        while (records.hasRemaining()) {
          int at = records.position();
          int length = (int) records.getLong();
          assertThat(records.getInt()).isEqualTo(masked(bytes, at, Long.BYTES));
          byte[] event = new byte[length];
          records.get(event);
          assertThat(records.getInt()).isEqualTo(masked(event, 0, length));
          tags.addAll(texts(event, 0));
        }
      }
    }
    return tags;
  }

  private static int masked(byte[] bytes, int from, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, from, length);
    long value = crc.getValue();
    return (int) (((value >>> 15) | (value << 17)) + 0xa282ead8L);
  }

  /** Texts of an event: its version, or the tags of its summary. */
  private static List<String> texts(byte[] message, int depth) throws IOException {
    List<String> texts = new ArrayList<>();
    DataInputStream in = new DataInputStream(new ByteArrayInputStream(message));
    while (in.available() > 0) {
      int key = (int) varint(in);
      switch (key & 7) {
        case 0 -> varint(in);
        case 1 -> in.skipBytes(8);
        case 5 -> in.skipBytes(4);
        case 2 -> {
          byte[] bytes = new byte[(int) varint(in)];
          in.readFully(bytes);
          int field = key >>> 3;
          if (depth == 0 && field == 5 || depth == 1 && field == 1) {
            texts.addAll(texts(bytes, depth + 1));
          } else if (depth == 0 && field == 3 || depth == 2 && field == 1) {
            texts.add(new String(bytes, StandardCharsets.UTF_8));
          }
        }
        default -> throw new IOException("type " + (key & 7));
      }
    }
    return texts;
  }

  private static long varint(DataInputStream in) throws IOException {
    long value = 0;
    for (int shift = 0; ; shift += 7) {
      int part = in.readUnsignedByte();
      value |= (long) (part & 0x7f) << shift;
      if (part < 0x80) {
        return value;
      }
    }
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

  @Test
  void segmentationAndUpscalingAreTrainedFromPairs() throws Exception {
    Path images = Files.createDirectories(folder.resolve("images"));
    Path small = Files.createDirectories(folder.resolve("small"));
    Path masks = Files.createDirectories(folder.resolve("masks"));
    for (int i = 0; i < 3; i++) {
      byte[] image = Images.write(Raster.filled(3, 32, 32, 0.3f * i), "image/png");
      Files.write(images.resolve(i + ".png"), image);
      Files.write(
          small.resolve(i + ".png"), Images.write(Raster.filled(3, 8, 8, 0.3f * i), "image/png"));
      Files.write(
          masks.resolve(i + ".png"), Images.write(Raster.filled(1, 32, 32, i % 2), "image/png"));
    }
    for (String task : List.of("segmentation", "upscale")) {
      String recipe =
          recipe(task, "tiny-concat-" + task, 2, "")
              .replace("layout: captions", "layout: pairs")
              .replace(
                  "path: " + folder.resolve("data"),
                  "path: %s, others: %s".formatted(images, task.equals("upscale") ? small : masks))
              .replace(folder.resolve("out").toString(), folder.resolve(task).toString());
      assertThat(train(recipe)).as(task).isZero();
      assertThat(folder.resolve(task).resolve("samples/step-000002.png")).isNotEmptyFile();
    }
  }

  @Test
  void aModelOfSeveralClassesIsTrainedFromCocosInstancesAndStoredInFloat16() throws Exception {
    Path model = folder.resolve("base");
    copy(MODELS.resolve("tiny-concat-one-hot"), model);
    // More classes than a picture has channels.
    edit(model.resolve("model_index.json"), "\"road\"", "\"road\", \"rail\"");
    edit(model.resolve("unet/config.json"), "\"out_channels\": 4", "\"out_channels\": 5");
    edit(model.resolve("unet/config.json"), "\"in_channels\": 7", "\"in_channels\": 8");
    Files.delete(model.resolve("unet/diffusion_pytorch_model.safetensors"));
    Path images = Files.createDirectories(folder.resolve("images"));
    Files.write(images.resolve("0.png"), Images.write(Raster.filled(3, 32, 32, 0.3f), "image/png"));
    Path annotations =
        Files.writeString(
            folder.resolve("instances.json"),
            """
            {"images": [{"id": 1, "file_name": "0.png"}],
             "categories": [{"id": 1, "name": "%s"}],
             "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 9, 8]}]}
            """
                .formatted(ModelFolder.open(model).config().strings("labels").get(1)));
    String recipe =
        recipe("segmentation", model.toString(), 2, "stored_as: float16")
            .replace("layout: captions", "layout: coco_boxes, annotations: " + annotations)
            .replace("path: " + folder.resolve("data"), "path: " + images);
    assertThat(train(recipe)).isZero();
    assertThat(folder.resolve("out/samples/step-000002.png")).isNotEmptyFile();
    try (TensorStore weights =
        Safetensors.open(folder.resolve("out/model/unet/diffusion_pytorch_model.safetensors"))) {
      assertThat(weights.names()).allMatch(name -> weights.info(name).dtype() == DType.F16);
    }
    Path masks = Files.createDirectories(folder.resolve("masks"));
    Files.write(masks.resolve("0.png"), Images.write(Raster.filled(1, 32, 32, 1), "image/png"));
    for (List<String> refused :
        List.of(
            List.of(
                "annotations: " + annotations,
                "category: water, annotations: " + annotations,
                "category"),
            List.of("layout: coco_boxes", "layout: pairs, others: " + masks, "coco_boxes"),
            List.of("stored_as: float16", "stored_as: int8", "float32, float16"))) {
      Path file =
          Files.writeString(
              folder.resolve("refused.yaml"),
              recipe
                  .replace(refused.get(0), refused.get(1))
                  .replace("out: " + folder.resolve("out"), "out: " + folder.resolve("refused")));
      assertThatThrownBy(() -> TrainCommand.run(Recipe.read(file)))
          .hasMessageContaining(refused.get(2));
    }
  }

  private static void edit(Path file, String from, String to) throws IOException {
    String text = Files.readString(file);
    assertThat(text).contains(from);
    Files.writeString(file, text.replace(from, to));
  }

  /** Stopped after the first of two steps in the second folder, which a constant rate allows. */
  @Test
  void aControlNetIsTrainedFromCaptionedPairsAndGoesOnAsIfUndisturbed() throws Exception {
    Path edges = Files.createDirectories(folder.resolve("edges"));
    for (int i = 0; i < 3; i++) {
      Files.write(
          edges.resolve(i + ".png"), Images.write(Raster.filled(1, 20, 24, i % 2), "image/png"));
    }
    List<byte[]> weights = new ArrayList<>();
    for (List<Integer> runs : List.of(List.of(2), List.of(1, 2))) {
      Path out = folder.resolve("out" + runs.size());
      for (int steps : runs) {
        String recipe =
            recipe("controlnet", "tiny-sd1", steps, "dropout: 0.1")
                .replace("batch: 2", "batch: 1")
                .replace("layout: captions", "layout: pairs, others: " + edges)
                .replace("warm_up: 1", "warm_up: 0, shape: constant")
                .replace("save_every: 2", "save_every: 1")
                .replace("every: 2, count: 2", "every: 2, count: " + (2 - runs.size()))
                .replace("out: " + folder.resolve("out"), "out: " + out);
        assertThat(train(recipe)).isZero();
      }
      weights.add(
          Files.readAllBytes(out.resolve("model/controlnet/diffusion_pytorch_model.safetensors")));
    }
    assertThat(weights.get(1)).isEqualTo(weights.get(0));
    Path out = folder.resolve("out1");
    assertThat(out.resolve("samples/step-000002.png")).isNotEmptyFile();
    // What is beside the ControlNet did not change.
    String unet = "unet/diffusion_pytorch_model.safetensors";
    assertThat(out.resolve("model").resolve(unet))
        .hasSameBinaryContentAs(MODELS.resolve("tiny-sd1").resolve(unet));
  }

  @Test
  void aControlNetNeedsPairs() throws Exception {
    assertThat(train(recipe("controlnet", "tiny-sd1", 2, ""))).isEqualTo(1);
    assertThat(folder.resolve("out/model")).doesNotExist();
  }

  @Test
  void studentsOfEachKindAreTrainedDrawnAndComparedWithTheirTeacher() throws Exception {
    for (String kind :
        List.of(
            "kind: consistency, guidance_min: 2, guidance_max: 8, guidance_embedding: 16",
            "kind: guidance, guidance_min: 3, guidance_max: 3",
            "kind: pruned, blocks: 1, block_out_channels: [16, 16, 16, 32]")) {
      Path out = folder.resolve(kind.replaceAll("\\W.*", "") + kind.length());
      String recipe =
          recipe("distill", "tiny-sd1", 2, "distillation: {" + kind + "}")
              .replace(folder.resolve("out").toString(), out.toString());
      assertThat(train(recipe)).as(kind).isZero();
      assertThat(out.resolve("samples/step-000002.png")).isNotEmptyFile();
      assertThat(out.resolve("comparison.md")).content().contains("PSNR", "parameters");
    }
  }

  /** A student without prompts, and a teacher that predicts what progressive steps need. */
  @Test
  void aNetworkOfPixelsLearnsToNeedHalfAsManySteps() throws Exception {
    Path teacher = folder.resolve("teacher");
    copy(MODELS.resolve("tiny-ddpm"), teacher);
    Path scheduler = teacher.resolve("scheduler/scheduler_config.json");
    Files.writeString(
        scheduler,
        Files.readString(scheduler)
            .replace(
                "\"trained_betas\"", "\"prediction_type\": \"v_prediction\", \"trained_betas\""));
    String recipe =
        recipe(
                "distill",
                "tiny-ddpm",
                2,
                "distillation: {kind: progressive, student_steps: 4, teacher_steps: 8}")
            .replace(MODELS.resolve("tiny-ddpm").toAbsolutePath().toString(), teacher.toString());
    assertThat(train(recipe)).isZero();
    assertThat(folder.resolve("out/model/model_index.json")).content().contains("DDIMPipeline");
    assertThat(folder.resolve("out/comparison.md")).content().contains("| steps | 8 | 2 |");
  }

  private static void copy(Path from, Path to) throws IOException {
    try (var files = Files.walk(from)) {
      for (Path file : files.toList()) {
        Path target = to.resolve(from.relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.createDirectories(target);
        } else {
          Files.copy(file, target);
        }
      }
    }
  }

  /** The page's example has every key that is common to all tasks. */
  @Test
  void theRecipeOfTheDocumentationIsRead() throws Exception {
    String page = Files.readString(Path.of("../../docs/TRAIN.md"));
    String yaml = page.substring(page.indexOf("```yaml") + 7);
    Path file = Files.writeString(folder.resolve("r.yaml"), yaml.substring(0, yaml.indexOf("```")));
    Recipe recipe = Recipe.read(file);
    assertThat(recipe.task()).isEqualTo(Recipe.Task.LORA);
    assertThat(recipe.settings().accumulation()).isEqualTo(4);
    assertThat(recipe.samples().prompts()).hasSize(2);
    for (Recipe.Task task : Recipe.Task.values()) {
      assertThat(page).contains("`" + task.name().toLowerCase(Locale.ROOT) + "`");
    }
  }

  @Test
  void aRecipeWithAMisspelledKeyIsRefused() throws Exception {
    Path file =
        Files.writeString(
            folder.resolve("r.yaml"),
            recipe("unconditional", "tiny-ddpm", 4, "").replace("warm_up", "warmup"));
    assertThatThrownBy(() -> Recipe.read(file))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("[rate]")
        .hasMessageContaining("[warmup]")
        .hasMessageContaining("warm_up");
  }

  @Test
  void aRecipeOfAnUnknownTaskIsRefused() throws Exception {
    Path file = Files.writeString(folder.resolve("r.yaml"), recipe("painting", "tiny-ddpm", 4, ""));
    assertThatThrownBy(() -> Recipe.read(file))
        .hasMessageContaining("\"painting\"")
        .hasMessageContaining("unconditional, text, lora");
  }
}
