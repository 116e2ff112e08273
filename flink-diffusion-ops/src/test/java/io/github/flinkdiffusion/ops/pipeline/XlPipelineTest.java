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

/** What SDXL and latent consistency models take and refuse; the pictures are compared elsewhere. */
class XlPipelineTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static DiffusionPipeline xl;

  @BeforeAll
  static void open() {
    xl = open("tiny-sdxl");
  }

  @AfterAll
  static void close() {
    xl.close();
  }

  private static DiffusionPipeline open(String folder) {
    return Pipelines.open(MODELS.resolve(folder), PipelineSettings.on(DeviceSpec.CPU));
  }

  private static GenerationSpec spec() {
    return GenerationSpec.of("id").with(Parameters.PROMPT, "a cat").with(Parameters.STEPS, 4L);
  }

  private static Raster image() {
    return new Raster(3, 64, 64, new float[3 * 64 * 64]);
  }

  @Test
  void sizesAreThePicturesOwnUnlessARequestSaysOthers() {
    GenerationRequest request =
        xl.model()
            .prepare(
                spec()
                    .with(Parameters.HEIGHT, 64L)
                    .with(Parameters.WIDTH, 96L)
                    .with(Parameters.TARGET_SIZE, new Numbers(1024, 768)));
    assertThat(request.get(Parameters.ORIGINAL_SIZE)).isEqualTo(new Numbers(64, 96));
    assertThat(request.get(Parameters.TARGET_SIZE)).isEqualTo(new Numbers(1024, 768));
    // Whether one was asked for makes a difference, as in diffusers.
    assertThat(request.get(Parameters.NEGATIVE_TARGET_SIZE)).isNull();
    assertThat(request.get(Parameters.CROPS_COORDS_TOP_LEFT)).isEqualTo(new Numbers(0, 0));
  }

  @Test
  void aNegativePromptThatIsAbsentStaysAbsent() {
    assertThat(xl.model().prepare(spec()).arguments().has(Parameters.NEGATIVE_PROMPT)).isFalse();
    assertThat(
            xl.model()
                .prepare(spec().with(Parameters.NEGATIVE_PROMPT, ""))
                .get(Parameters.NEGATIVE_PROMPT_2))
        .isEmpty();
  }

  @Test
  void defaultsFollowWhatIsAskedFor() {
    GenerationSpec picture = spec().with(Parameters.IMAGE, image());
    GenerationSpec mask = picture.with(Parameters.MASK, new Raster(1, 64, 64, new float[64 * 64]));
    assertThat(xl.model().prepare(spec()).guidanceScale()).isEqualTo(5);
    assertThat(xl.model().prepare(picture).get(Parameters.STRENGTH)).isEqualTo(0.3);
    assertThat(xl.model().prepare(mask).get(Parameters.STRENGTH)).isEqualTo(0.9999);
    assertThat(xl.model().prepare(mask).guidanceScale()).isEqualTo(7.5);
  }

  @Test
  void refusesValuesThatDoNotFit() {
    assertRefused(xl, spec().with(Parameters.ORIGINAL_SIZE, new Numbers(64)), "two numbers");
    assertRefused(xl, spec().with(Parameters.TARGET_SIZE, new Numbers(64, -1)), "two numbers");
    // The smaller of the two encoders has two layers, of which the last is never used.
    assertRefused(xl, spec().with(Parameters.CLIP_SKIP, 2L), "1 layers");
    assertRefused(xl, spec().with(Parameters.AESTHETIC_SCORE, 6.0), "does not take");
    assertRefused(
        xl, spec().with(Parameters.ORIGINAL_INFERENCE_STEPS, 50L), "LCMScheduler, TCDScheduler");
  }

  @Test
  void theRefinerNeedsAPicture() {
    try (DiffusionPipeline refiner = open("tiny-sdxl-refiner")) {
      assertRefused(refiner, spec(), "refines");
      assertThat(
              refiner
                  .model()
                  .prepare(spec().with(Parameters.IMAGE, image()).with(Parameters.STEPS, 10L))
                  .get(Parameters.NEGATIVE_AESTHETIC_SCORE))
          .isEqualTo(2.5);
    }
  }

  @Test
  void aDistilledNetworkTakesNoNegativePromptAndAScheduleOfItsOwn() {
    try (DiffusionPipeline lcm = open("tiny-lcm")) {
      assertThat(
              lcm.model().prepare(GenerationSpec.of("id").with(Parameters.PROMPT, "a cat")).steps())
          .isEqualTo(4);
      assertRefused(lcm, spec().with(Parameters.NEGATIVE_PROMPT, "dull"), "does not take");
      assertRefused(
          lcm,
          spec().with(Parameters.ORIGINAL_INFERENCE_STEPS, 3L),
          "supported: 1..3 (original_inference_steps)");
      assertRefused(
          lcm,
          spec().with(Parameters.IMAGE, image()).with(Parameters.STRENGTH, 0.06),
          "times strength 0.06");
      List<Trajectory> one = lcm.start(List.of(lcm.model().prepare(spec())));
      assertThat(one.get(0).rows()).isEqualTo(1);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "unet/config.json, addition_time_embed_dim,   6, projection_class_embeddings_input_dim",
    "unet/config.json, cross_attention_dim,      48, the text encoders' hidden_size together",
    "unet/config.json, projection_class_embeddings_input_dim, 96, text_encoder_2's projection_dim"
  })
  void partsThatDoNotFitEachOtherAreNamed(
      String file, String key, int value, String message, @TempDir Path temp) throws IOException {
    copy(MODELS.resolve("tiny-sdxl"), temp);
    Path config = temp.resolve(file);
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode json = (ObjectNode) mapper.readTree(config.toFile());
    json.put(key, value);
    mapper.writeValue(config.toFile(), json);
    assertThatThrownBy(() -> Pipelines.open(temp, PipelineSettings.on(DeviceSpec.CPU)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("config.json")
        .hasMessageContaining(message);
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : (Iterable<Path>) files::iterator) {
        Path target = to.resolve(from.relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.createDirectories(target);
        } else if (!file.toString().contains("golden")) {
          Files.copy(file, target);
        }
      }
    }
  }

  private static void assertRefused(
      DiffusionPipeline pipeline, GenerationSpec spec, String because) {
    assertThatThrownBy(() -> pipeline.model().prepare(spec))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining(because);
  }
}
