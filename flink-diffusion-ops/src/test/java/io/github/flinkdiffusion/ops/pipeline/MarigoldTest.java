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
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What {@link PipelineParityTest} does not compare with diffusers. */
class MarigoldTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static final Path DEPTH = MODELS.resolve("tiny-marigold-depth");
  private static final Path NORMALS = MODELS.resolve("tiny-marigold-normals");
  private static final PipelineSettings SETTINGS = PipelineSettings.on(DeviceSpec.CPU);

  @TempDir private Path folder;

  @Test
  void resultsSayWhatTheyAre() {
    try (DiffusionPipeline depth = Pipelines.open(DEPTH, SETTINGS);
        DiffusionPipeline normals = Pipelines.open(NORMALS, SETTINGS)) {
      assertThat(depth.model().result(Arguments.NONE).kind()).isEqualTo(ResultKind.DEPTH);
      assertThat(normals.model().result(Arguments.NONE).kind()).isEqualTo(ResultKind.NORMALS);
    }
  }

  @Test
  void imagesOfSeveralSizesShareCallsAndComeOutAsAlone() {
    try (DiffusionPipeline pipeline = Pipelines.open(DEPTH, SETTINGS)) {
      List<GenerationRequest> requests =
          List.of(
              pipeline.model().prepare(spec(noise(40, 30, 1))),
              pipeline.model().prepare(spec(noise(40, 30, 2))),
              pipeline.model().prepare(spec(noise(25, 50, 3))));
      List<Trajectory> together = pipeline.start(requests);
      assertThat(together.get(0).batchKey()).isEqualTo(together.get(1).batchKey());
      assertThat(together.get(0).batchKey()).isNotEqualTo(together.get(2).batchKey());
      List<Trajectory> alike = together.subList(0, 2);
      while (!alike.get(0).done()) {
        pipeline.step(alike);
      }
      Raster second = pipeline.finish(alike).get(1).image();
      assertThat(second.data())
          .containsExactly(alone(pipeline, requests.get(1)).data(), within(1e-4f));
    }
  }

  @Test
  void normalsAreUnitVectorsThatLookAtTheViewerOrAlsoAway() throws IOException {
    assertThat(least(NORMALS)).isBetween(0f, 1f);
    copy(NORMALS, folder);
    change("use_full_z_range", "true");
    assertThat(least(folder)).isLessThan(0);
  }

  /** The smallest z; checks lengths. */
  private static float least(Path model) {
    try (DiffusionPipeline pipeline = Pipelines.open(model, SETTINGS)) {
      Raster made = alone(pipeline, pipeline.model().prepare(spec(noise(32, 32, 5))));
      int plane = 32 * 32;
      float least = 1;
      for (int i = 0; i < plane; i++) {
        double x = 2 * made.data()[i] - 1;
        double y = 2 * made.data()[plane + i] - 1;
        double z = 2 * made.data()[2 * plane + i] - 1;
        assertThat(x * x + y * y + z * z).isCloseTo(1, within(1e-4));
        least = Math.min(least, (float) z);
      }
      return least;
    }
  }

  @Test
  void aPreviewIsSmallAndHasTheResultsChannels() {
    try (DiffusionPipeline pipeline = Pipelines.open(DEPTH, SETTINGS)) {
      List<Trajectory> trajectory =
          pipeline.start(List.of(pipeline.model().prepare(spec(noise(300, 200, 1)))));
      pipeline.step(trajectory);
      Raster preview = pipeline.preview(trajectory).get(0);
      assertThat(preview.channels()).isEqualTo(1);
      assertThat(preview.width()).isLessThan(64);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "30, 20, 34, processingResolution is 34; it must be a multiple of 4",
    "300, 3, 32, 'image is 300 x 3 pixels, too narrow for a processingResolution of 32'",
    "30, 20, 9000, a whole number from 0 to 8192"
  })
  void aSizeThatTheNetworkCanNotSeeIsRefused(
      int width, int height, long resolution, String message) {
    try (DiffusionPipeline pipeline = Pipelines.open(DEPTH, SETTINGS)) {
      GenerationSpec spec =
          spec(noise(width, height, 1)).with(Parameters.PROCESSING_RESOLUTION, resolution);
      assertThatThrownBy(() -> pipeline.model().prepare(spec))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining(message);
    }
  }

  @Test
  void aFolderWithoutDefaultsLeavesThemToTheRequest() throws IOException {
    copy(DEPTH, folder);
    change("default_denoising_steps", "null");
    change("default_processing_resolution", "null");
    try (DiffusionPipeline pipeline = Pipelines.open(folder, SETTINGS)) {
      GenerationSpec bare = spec(noise(16, 16, 1));
      assertThatThrownBy(() -> pipeline.model().prepare(bare)).hasMessageContaining("has no steps");
      GenerationSpec steps = bare.with(Parameters.STEPS, 2L);
      assertThatThrownBy(() -> pipeline.model().prepare(steps))
          .hasMessageContaining("has no processingResolution");
      assertThat(pipeline.model().prepare(steps.with(Parameters.PROCESSING_RESOLUTION, 0L)).steps())
          .isEqualTo(2);
    }
  }

  @Test
  void aFolderSaysWhatItsDepthsLeaveOpen() throws IOException {
    copy(DEPTH, folder);
    assertThat(freedom()).isEqualTo(DepthFreedom.SCALE_AND_SHIFT);
    change("shift_invariant", "false");
    assertThat(freedom()).isEqualTo(DepthFreedom.SCALE);
    change("scale_invariant", "false");
    assertThat(freedom()).isEqualTo(DepthFreedom.NONE);
    change("shift_invariant", "true");
    assertThatThrownBy(this::freedom)
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("'shift_invariant' is true");
  }

  private DepthFreedom freedom() {
    try (DiffusionPipeline pipeline = Pipelines.open(folder, SETTINGS)) {
      return pipeline.model().result(Arguments.NONE).depths().orElseThrow();
    }
  }

  @Test
  void aPredictionOfSomethingElseIsRefused() throws IOException {
    copy(DEPTH, folder);
    change("prediction_type", "\"intrinsics\"");
    assertThatThrownBy(() -> Pipelines.open(folder, SETTINGS))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("'prediction_type' is \"intrinsics\"; supported: depth, disparity");
  }

  private static Raster alone(DiffusionPipeline pipeline, GenerationRequest request) {
    List<Trajectory> trajectory = pipeline.start(List.of(request));
    while (!trajectory.get(0).done()) {
      pipeline.step(trajectory);
    }
    return pipeline.finish(trajectory).get(0).image();
  }

  private static GenerationSpec spec(Raster image) {
    return GenerationSpec.of("one").with(Parameters.IMAGE, image);
  }

  private static Raster noise(int width, int height, long seed) {
    Random random = new Random(seed);
    float[] values = new float[3 * width * height];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextFloat();
    }
    return new Raster(3, height, width, values);
  }

  private void change(String key, String value) throws IOException {
    ObjectMapper json = new ObjectMapper();
    Path index = folder.resolve("model_index.json");
    ObjectNode changed = (ObjectNode) json.readTree(index.toFile());
    changed.set(key, json.readTree(value));
    Files.writeString(index, json.writeValueAsString(changed));
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : (Iterable<Path>) files.filter(Files::isRegularFile)::iterator) {
        Path target = to.resolve(from.relativize(file).toString());
        Files.createDirectories(target.getParent());
        Files.copy(file, target);
      }
    }
  }
}
