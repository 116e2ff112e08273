/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Trainings from pairs of images, or from images with instances, by the command. */
class PairsCommandTest extends TrainingCase {
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
}
