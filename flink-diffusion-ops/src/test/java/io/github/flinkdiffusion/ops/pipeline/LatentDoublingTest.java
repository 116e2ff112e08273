/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.offset;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What PipelineParityTest cannot see of the x2 latent upscaler: shared calls and refusals. */
class LatentDoublingTest {
  private static final Path FOLDER =
      Path.of("src/test/resources/fixtures/models/tiny-latent-upscaler");

  private static DiffusionPipeline pipeline;

  @TempDir private Path temp;

  @BeforeAll
  static void open() {
    pipeline = Pipelines.open(FOLDER, PipelineSettings.on(DeviceSpec.CPU));
  }

  @AfterAll
  static void close() {
    pipeline.close();
  }

  private static GenerationSpec enlarging(String id, int width, int height) {
    float[] data = new float[3 * width * height];
    for (int i = 0; i < data.length; i++) {
      data[i] = (i * 37 % 101) / 100f;
    }
    return GenerationSpec.of(id)
        .with(Parameters.IMAGE, new Raster(3, height, width, data))
        .with(Parameters.STEPS, 3L);
  }

  private static List<GeneratedImage> images(GenerationSpec... specs) {
    List<Trajectory> all = pipeline.start(Stream.of(specs).map(pipeline.model()::prepare).toList());
    while (!all.get(0).done()) {
      pipeline.step(all);
    }
    return pipeline.finish(all);
  }

  @Test
  void requestsWithAndWithoutGuidanceShareCallsAndChangeNothingForEachOther() {
    GenerationSpec[] specs = {
      enlarging("guided", 32, 32).with(Parameters.PROMPT, "an apple"),
      enlarging("unguided", 32, 32).with(Parameters.GUIDANCE_SCALE, 1.0),
      enlarging("other", 32, 32).with(Parameters.NEGATIVE_PROMPT, "a moon")
    };
    List<GeneratedImage> together = images(specs);
    for (int i = 0; i < specs.length; i++) {
      float[] alone = images(specs[i]).get(0).image().data();
      float[] shared = together.get(i).image().data();
      for (int j = 0; j < alone.length; j++) {
        // A batch of another size rounds differently.
        assertThat(shared[j]).isCloseTo(alone[j], offset(1e-4f));
      }
    }
  }

  @Test
  void aPreviewIsMadeWhileItIsOnItsWay() {
    List<Trajectory> one =
        pipeline.start(List.of(pipeline.model().prepare(enlarging("id", 64, 32))));
    pipeline.step(one);
    Raster preview = pipeline.preview(one).get(0);
    assertThat(preview.width()).isEqualTo(2 * preview.height());
  }

  @ParameterizedTest
  @CsvSource({
    // A width that does not halve as often as the network does, and one that it cannot mirror.
    "36, 32, EulerDiscreteScheduler, width is 72",
    "8, 32, EulerDiscreteScheduler, width is 16",
    "32, 32, EulerAncestralDiscreteScheduler, works with EulerDiscreteScheduler only"
  })
  void refusesWhatTheNetworkAndItsNoiseLevelsCannotDo(
      int width, int height, String scheduler, String reason) {
    GenerationSpec spec = enlarging("bad", width, height).with(Parameters.SCHEDULER, scheduler);
    assertThatThrownBy(() -> pipeline.model().prepare(spec))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining(reason);
  }

  @ParameterizedTest
  @CsvSource({
    "model_index.json, scheduler, '[\"diffusers\", \"EulerAncestralDiscreteScheduler\"]'",
    "scheduler/scheduler_config.json, prediction_type, \"epsilon\"",
    "unet/config.json, time_cond_proj_dim, 128",
    "unet/config.json, out_channels, 4",
    "unet/config.json, in_channels, 4"
  })
  void refusesAModelThatIsConditionedOtherwise(String file, String key, String value)
      throws IOException {
    try (Stream<Path> files = Files.walk(FOLDER)) {
      for (Path each : (Iterable<Path>) files::iterator) {
        Path copy = temp.resolve(FOLDER.relativize(each).toString());
        if (Files.isDirectory(each)) {
          Files.createDirectories(copy);
        } else {
          Files.copy(each, copy);
        }
      }
    }
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode config = (ObjectNode) mapper.readTree(temp.resolve(file).toFile());
    config.set(key, mapper.readTree(value));
    mapper.writeValue(temp.resolve(file).toFile(), config);
    assertThatThrownBy(() -> Pipelines.open(temp, PipelineSettings.on(DeviceSpec.CPU)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining(key);
  }
}
