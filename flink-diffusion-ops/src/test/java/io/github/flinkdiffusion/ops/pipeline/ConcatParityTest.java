/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.Rgb;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Models that see a picture behind the noisy sample, against torch (make_concat_fixtures.py). */
class ConcatParityTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static final Path UPSCALE = MODELS.resolve("tiny-concat-upscale");
  private static final Path SEGMENTATION = MODELS.resolve("tiny-concat-segmentation");
  private static final PipelineSettings SETTINGS = PipelineSettings.on(DeviceSpec.CPU);

  @TempDir private Path folder;

  @ParameterizedTest
  @CsvSource({
    "tiny-concat-upscale, 11",
    "tiny-concat-segmentation, 12",
    "tiny-concat-one-hot, 13",
    "tiny-concat-palette, 14"
  })
  void makesTheReferencesPicture(String name, long seed) {
    Path model = MODELS.resolve(name);
    Raster expected = golden(model, "picture");
    try (DiffusionPipeline pipeline = Pipelines.open(model, SETTINGS)) {
      Raster made = run(pipeline, golden(model, "image"), seed);
      assertThat(made.channels()).isEqualTo(expected.channels());
      assertThat(made.height()).isEqualTo(expected.height());
      assertThat(made.width()).isEqualTo(expected.width());
      assertThat(made.data()).containsExactly(expected.data(), within(2e-5f));
    }
  }

  @Test
  void imagesOfOtherSizesGetTheirOwnMasks() {
    try (DiffusionPipeline pipeline = Pipelines.open(SEGMENTATION, SETTINGS)) {
      List<Trajectory> trajectories =
          pipeline.start(
              List.of(
                  pipeline.model().prepare(spec(Raster.filled(1, 20, 30, 0.5f), 1)),
                  pipeline.model().prepare(spec(Raster.filled(1, 40, 10, 0.5f), 1))));
      assertThat(trajectories.get(0).batchKey()).isNotEqualTo(trajectories.get(1).batchKey());
      for (Trajectory trajectory : trajectories) {
        while (!trajectory.done()) {
          pipeline.step(List.of(trajectory));
        }
      }
      Raster tall = pipeline.finish(List.of(trajectories.get(1))).get(0).image();
      assertThat(tall.height()).isEqualTo(40);
      assertThat(tall.width()).isEqualTo(10);
    }
  }

  @Test
  void aPreviewIsASmallPicture() {
    try (DiffusionPipeline pipeline = Pipelines.open(UPSCALE, SETTINGS)) {
      List<Trajectory> trajectories =
          pipeline.start(
              List.of(pipeline.model().prepare(spec(Raster.filled(3, 40, 24, 0.5f), 3))));
      pipeline.step(trajectories);
      Raster preview = pipeline.preview(trajectories).get(0);
      assertThat(preview.channels()).isEqualTo(3);
      assertThat(preview.height()).isEqualTo(32);
      assertThat(preview.width()).isEqualTo(20);
    }
  }

  @Test
  void anImageWithOtherChannelsIsRefused() {
    try (DiffusionPipeline pipeline = Pipelines.open(UPSCALE, SETTINGS)) {
      assertThatThrownBy(() -> pipeline.model().prepare(spec(Raster.filled(1, 8, 8, 0), 1)))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("image has 1 channels; it must have 3");
    }
  }

  @Test
  void anotherSizeThanTheImagesIsRefused() {
    try (DiffusionPipeline pipeline = Pipelines.open(UPSCALE, SETTINGS)) {
      GenerationSpec spec =
          spec(Raster.filled(3, 8, 8, 0), 1)
              .with(Parameters.WIDTH, 64L)
              .with(Parameters.HEIGHT, 64L);
      assertThatThrownBy(() -> pipeline.model().prepare(spec))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("4 times as large as the image");
    }
  }

  @Test
  void aFolderSaysWhatItsClassesAre() {
    try (DiffusionPipeline mask = Pipelines.open(SEGMENTATION, SETTINGS);
        DiffusionPipeline oneHot = Pipelines.open(MODELS.resolve("tiny-concat-one-hot"), SETTINGS);
        DiffusionPipeline palette =
            Pipelines.open(MODELS.resolve("tiny-concat-palette"), SETTINGS)) {
      assertThat(classes(mask, 1)).isEqualTo(ClassMap.binary("background", "mask"));
      assertThat(classes(oneHot, 3))
          .isEqualTo(
              new ClassMap(
                  ClassMap.Encoding.ONE_HOT,
                  List.of("other", "water", "forest", "road"),
                  ClassMap.colors(4),
                  OptionalInt.empty()));
      assertThat(classes(palette, 3).palette().get(1)).isEqualTo(new Rgb(40, 60, 250));
      assertThat(classes(palette, 3).background()).hasValue(0);
    }
  }

  @Test
  void aFolderSaysWhichAreasAreTooSmall() throws IOException {
    copy(MODELS.resolve("tiny-concat-one-hot"), folder);
    change(folder.resolve("model_index.json"), index -> index.put("minimum_region", 9));
    try (DiffusionPipeline pipeline = Pipelines.open(folder, SETTINGS)) {
      assertThat(classes(pipeline, 3).leastPixels()).isEqualTo(9);
    }
  }

  private static ClassMap classes(DiffusionPipeline pipeline, int channels) {
    GenerationRequest request =
        pipeline.model().prepare(spec(Raster.filled(channels, 16, 12, 0), 1));
    return pipeline.model().result(request.arguments()).classes().orElseThrow();
  }

  @Test
  void aPreviewOfClassesIsAPictureInTheirColors() {
    Path model = MODELS.resolve("tiny-concat-one-hot");
    try (DiffusionPipeline pipeline = Pipelines.open(model, SETTINGS)) {
      List<Trajectory> trajectories =
          pipeline.start(List.of(pipeline.model().prepare(spec(golden(model, "image"), 3))));
      pipeline.step(trajectories);
      Raster preview = pipeline.preview(trajectories).get(0);
      assertThat(preview.channels()).isEqualTo(3);
      assertThat(preview.data()).containsOnly(0, 128 / 255f);
    }
  }

  @Test
  void aNetworkWithAnotherNumberOfChannelsIsRefused() throws IOException {
    copy(MODELS.resolve("tiny-concat-one-hot"), folder);
    ObjectMapper json = new ObjectMapper();
    Path index = folder.resolve("model_index.json");
    ObjectNode changed = (ObjectNode) json.readTree(index.toFile());
    changed.put("sample_target", "mask").putNull("labels");
    Files.writeString(index, json.writeValueAsString(changed));
    assertThatThrownBy(() -> Pipelines.open(folder, SETTINGS))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("'out_channels' is 4; supported: 1 for mask");
  }

  @ParameterizedTest
  @CsvSource({
    "tiny-concat-upscale, concatenation, '\"image, sample\"'",
    "tiny-concat-upscale, image_resampling, '\"nearest\"'",
    "tiny-concat-upscale, value_range, '[0,1]'",
    "tiny-concat-upscale, sample_target, '\"noise\"'",
    "tiny-concat-upscale, residual_scale, 0",
    "tiny-concat-upscale, scale_factor, 0",
    "tiny-concat-segmentation, sample_target, '\"boxes\"'",
    "tiny-concat-segmentation, image_resampling, '\"bicubic\"'",
    "tiny-concat-segmentation, labels, '[\"one\"]'",
    "tiny-concat-segmentation, labels, '[\"a\",\"b\",\"c\"]'",
    "tiny-concat-segmentation, minimum_certainty, 0.5",
    "tiny-concat-segmentation, minimum_certainty, 1.01",
    "tiny-concat-segmentation, minimum_certainty, '\"high\"'",
    "tiny-concat-segmentation, minimum_certainty, '[]'",
    "tiny-concat-segmentation, minimum_certainty, '[0.6, 0.9]'",
    "tiny-concat-segmentation, minimum_certainty, '[[0.1, 0.9]]'",
    "tiny-concat-segmentation, minimum_certainty, '[[0, 0.6], [0, 0.9]]'",
    "tiny-concat-segmentation, minimum_certainty, '[[0, 0.6], [0.1, 1.5]]'",
    "tiny-concat-segmentation, minimum_certainty, '[[0, 0.6, 1]]'",
    "tiny-concat-one-hot, minimum_certainty, 0.9",
    "tiny-concat-palette, minimum_certainty, 0.9",
    "tiny-concat-one-hot, minimum_region, 0",
    "tiny-concat-one-hot, minimum_region, 1000001",
    "tiny-concat-one-hot, minimum_region, '\"large\"'",
    "tiny-concat-one-hot, labels, null",
    "tiny-concat-one-hot, background, 4",
    "tiny-concat-one-hot, background, -2",
    "tiny-concat-palette, palette, null",
    "tiny-concat-palette, palette, '[[0,0,0],[1,1,1],[2,2,2]]'",
    "tiny-concat-palette, palette, '[[0,0,0],[1,1,1],[2,2,2],[2,2,2]]'",
    "tiny-concat-palette, palette, '[[0,0,0],[1,1,1],[2,2,2],[2,2,256]]'",
    "tiny-concat-palette, palette, '[[0,0,0],[1,1,1],[2,2,2],[2,2]]'",
    "tiny-concat-palette, palette, '\"red\"'"
  })
  void aModelThatWasMadeOtherwiseIsRefused(String name, String key, String value)
      throws IOException {
    copy(MODELS.resolve(name), folder);
    ObjectMapper json = new ObjectMapper();
    Path index = folder.resolve("model_index.json");
    ObjectNode changed = (ObjectNode) json.readTree(index.toFile());
    changed.set(key, json.readTree(value));
    Files.writeString(index, json.writeValueAsString(changed));
    assertThatThrownBy(() -> Pipelines.open(folder, SETTINGS))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining(key);
  }

  @Test
  void aFolderSaysHowSureAnAnswerMustBe() throws IOException {
    copy(SEGMENTATION, folder);
    change(
        folder.resolve("model_index.json"),
        index -> index.putArray("minimum_certainty").addArray().add(0).add(0.9));
    try (DiffusionPipeline pipeline = Pipelines.open(folder, SETTINGS)) {
      assertThat(classes(pipeline, 1).certainty())
          .isEqualTo(new MinimumCertainty(List.of(new MinimumCertainty.Step(0, 0.9))));
    }
  }

  private static void change(Path file, Consumer<ObjectNode> change) throws IOException {
    ObjectMapper json = new ObjectMapper();
    ObjectNode changed = (ObjectNode) json.readTree(file.toFile());
    change.accept(changed);
    Files.writeString(file, json.writeValueAsString(changed));
  }

  private static Raster run(Path model, Raster image) {
    try (DiffusionPipeline pipeline = Pipelines.open(model, SETTINGS)) {
      return run(pipeline, image, 12);
    }
  }

  private static Raster run(DiffusionPipeline pipeline, Raster image, long seed) {
    List<Trajectory> trajectories =
        pipeline.start(List.of(pipeline.model().prepare(spec(image, seed))));
    while (!trajectories.get(0).done()) {
      pipeline.step(trajectories);
    }
    return pipeline.finish(trajectories).get(0).image();
  }

  private static GenerationSpec spec(Raster image, long seed) {
    return GenerationSpec.of("one")
        .with(Parameters.IMAGE, image)
        .with(Parameters.SEED, seed)
        .with(Parameters.STEPS, 5L);
  }

  private static Raster golden(Path model, String name) {
    try (TensorStore run = Safetensors.open(model.resolve("golden/run.safetensors"))) {
      long[] shape = run.info(name).shape();
      return new Raster((int) shape[0], (int) shape[1], (int) shape[2], run.floats(name));
    }
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.walk(from)) {
      files
          .filter(Files::isRegularFile)
          .forEach(
              file -> {
                try {
                  Path target = to.resolve(from.relativize(file).toString());
                  Files.createDirectories(target.getParent());
                  Files.copy(file, target);
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              });
    }
  }
}
