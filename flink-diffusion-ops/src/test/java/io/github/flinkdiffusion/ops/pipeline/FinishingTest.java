/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.DwtDctWatermark;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.HeapTensors;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What happens to pictures after they are decoded, through a whole pipeline. */
class FinishingTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");

  @TempDir private Path temp;

  private static GeneratedImage picture(Path folder, PipelineSettings settings, long side) {
    try (DiffusionPipeline pipeline = Pipelines.open(folder, settings)) {
      GenerationSpec spec =
          GenerationSpec.of("a")
              .with(Parameters.PROMPT, "a red apple")
              .with(Parameters.STEPS, 1L)
              .with(Parameters.SCHEDULER, "DDIMScheduler")
              .with(Parameters.GUIDANCE_SCALE, 1.0)
              .with(Parameters.WIDTH, side)
              .with(Parameters.HEIGHT, side);
      List<Trajectory> trajectory = pipeline.start(List.of(pipeline.model().prepare(spec)));
      pipeline.step(trajectory);
      return pipeline.finish(trajectory).get(0);
    }
  }

  @Test
  void aWatermarkIsThereWhenItIsAskedFor() {
    Path folder = FIXTURES.resolve("models/tiny-sd1");
    PipelineSettings plain = PipelineSettings.on(DeviceSpec.CPU);
    DwtDctWatermark mark = DwtDctWatermark.STABLE_DIFFUSION_XL;
    Raster unmarked = picture(folder, plain, 256).image();
    Raster marked = picture(folder, plain.withWatermark(true), 256).image();
    assertThat(mark.read(marked).matching()).isGreaterThan(mark.read(unmarked).matching());
    assertThat(picture(folder, plain.withWatermark(true), 64).image())
        .isEqualTo(picture(folder, plain, 64).image());
  }

  @Test
  void aCheckerThatWasNotDownloadedIsMissedOnlyWhereItIsUsed() throws IOException {
    Path folder = temp.resolve("partial");
    copy(FIXTURES.resolve("models/tiny-sd1"), folder);
    index(
        folder,
        index -> {
          index
              .putArray("safety_checker")
              .add("stable_diffusion")
              .add("StableDiffusionSafetyChecker");
          index.putArray("feature_extractor").add("transformers").add("CLIPImageProcessor");
        });
    PipelineSettings settings = PipelineSettings.on(DeviceSpec.CPU);
    assertThat(picture(folder, settings.withSafetyChecker(false), 64).image())
        .isEqualTo(picture(FIXTURES.resolve("models/tiny-sd1"), settings, 64).image());
    assertThatThrownBy(() -> Pipelines.open(folder, settings))
        .isInstanceOf(WeightsException.class)
        .hasMessageContainingAll(
            "sub-folder 'safety_checker' is missing", "diffusion.model.safety-checker");
  }

  @Test
  void theClassOfAPipelineIsLookedAtBeforeItsComponents() throws IOException {
    Path folder = temp.resolve("unsupported");
    copy(FIXTURES.resolve("models/tiny-sd1"), folder);
    index(
        folder,
        index -> {
          index.put("_class_name", "WanPipeline");
          index.putArray("text_encoder_2").add("transformers").add("T5EncoderModel");
        });
    assertThatThrownBy(() -> Pipelines.open(folder, PipelineSettings.on(DeviceSpec.CPU)))
        .hasMessageContaining("WanPipeline")
        .hasMessageNotContaining("missing");
  }

  private static void index(Path folder, Consumer<ObjectNode> change) throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    Path file = folder.resolve("model_index.json");
    ObjectNode index = (ObjectNode) mapper.readTree(file.toFile());
    change.accept(index);
    mapper.writeValue(file.toFile(), index);
  }

  @Test
  void theMarkGoesIntoWhatTheDecoderPutOutAndIsClippedAfterwards() {
    Raster decoded = new Raster(3, 256, 256, new float[3 * 256 * 256]);
    for (int i = 0; i < decoded.data().length; i++) {
      decoded.data()[i] = (float) (0.5 + 0.7 * Math.sin(i * 0.37));
    }
    ModelFolder folder = ModelFolder.open(FIXTURES.resolve("models/tiny-sd1"));
    PipelineSettings settings = PipelineSettings.on(DeviceSpec.CPU);
    try (ModelCheck check = ModelCheck.begin(folder, UnaryOperator.identity());
        Finishing marking = Finishing.open(folder, settings.withWatermark(true), check);
        Finishing plain = Finishing.open(folder, settings, check)) {
      Raster marked = marking.finish(List.of(decoded)).get(0).picture();
      Raster clipped = plain.finish(List.of(decoded)).get(0).picture();
      assertThat(marked).isEqualTo(DwtDctWatermark.STABLE_DIFFUSION_XL.embed(decoded));
      assertThat(marked).isNotEqualTo(DwtDctWatermark.STABLE_DIFFUSION_XL.embed(clipped));
      for (float value : clipped.data()) {
        assertThat(value).isBetween(0f, 1f);
      }
      Raster gray = Raster.filled(1, 256, 256, 0.5f);
      assertThat(marking.finish(List.of(gray)).get(0).picture()).isEqualTo(gray);
    }
  }

  @Test
  void aFlaggedPictureIsBlackUnlessNobodyAsks() throws IOException {
    Path folder = withChecker();
    PipelineSettings checked = PipelineSettings.on(DeviceSpec.CPU);
    assertThat(loadedAs(folder, checked)).containsEntry("safetyChecker", "true");
    assertThat(loadedAs(folder, checked.withSafetyChecker(false)))
        .containsEntry("safetyChecker", "false");
    GeneratedImage flagged = picture(folder, checked, 64);
    assertThat(flagged.flagged()).isTrue();
    assertThat(flagged.image()).isEqualTo(Raster.filled(3, 64, 64, 0));
    GeneratedImage unchecked = picture(folder, checked.withSafetyChecker(false), 64);
    assertThat(unchecked.flagged()).isFalse();
    assertThat(unchecked.image()).isNotEqualTo(flagged.image());
  }

  private static Map<String, String> loadedAs(Path folder, PipelineSettings settings) {
    try (DiffusionPipeline pipeline = Pipelines.open(folder, settings)) {
      return pipeline.model().info().loadedAs();
    }
  }

  /** tiny-sd1 with a safety checker to which everything is close to a concept. */
  private Path withChecker() throws IOException {
    Path checker = FIXTURES.resolve("safety/new");
    copy(FIXTURES.resolve("models/tiny-sd1"), temp);
    copy(checker, temp);
    Path weights = temp.resolve("safety_checker/model.safetensors");
    HeapTensors.Builder tensors = HeapTensors.builder();
    try (TensorStore store =
        Safetensors.open(checker.resolve("safety_checker/model.safetensors"))) {
      for (String name : store.names()) {
        float[] values = store.floats(name);
        if (name.equals("concept_embeds_weights")) {
          Arrays.fill(values, -1.5f);
        }
        tensors.add(name, values, store.info(name).shape());
      }
    }
    SafetensorsWriter.write(weights, tensors.build());
    ObjectMapper mapper = new ObjectMapper();
    Path index = temp.resolve("model_index.json");
    ObjectNode json =
        (ObjectNode) mapper.readTree(FIXTURES.resolve("models/tiny-sd1/model_index.json").toFile());
    json.putArray("safety_checker").add("stable_diffusion").add("StableDiffusionSafetyChecker");
    json.putArray("feature_extractor").add("transformers").add("CLIPImageProcessor");
    mapper.writeValue(index.toFile(), json);
    return temp;
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : (Iterable<Path>) files::iterator) {
        Path target = to.resolve(from.relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.createDirectories(target);
        } else if (!file.toString().contains("golden") && !Files.exists(target)) {
          Files.copy(file, target);
        }
      }
    }
  }
}
