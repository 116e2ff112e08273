/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
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
import org.junit.jupiter.params.provider.ValueSource;

class StableDiffusionPipelineTest {
  private static final Path FOLDER = Path.of("src/test/resources/fixtures/models/tiny-sd1");
  private static DiffusionPipeline pipeline;

  @BeforeAll
  static void open() {
    pipeline = Pipelines.open(FOLDER, PipelineSettings.on(DeviceSpec.CPU));
  }

  @AfterAll
  static void close() {
    pipeline.close();
    pipeline.close();
  }

  private static GenerationSpec spec(
      String prompt, Integer steps, Double guidance, String scheduler, Integer width) {
    return GenerationSpec.of("id-1")
        .with(Parameters.PROMPT, prompt)
        .with(Parameters.STEPS, steps == null ? null : (long) steps)
        .with(Parameters.GUIDANCE_SCALE, guidance)
        .with(Parameters.SCHEDULER, scheduler)
        .with(Parameters.WIDTH, width == null ? null : (long) width);
  }

  private static GenerationSpec prompt(String prompt) {
    return spec(prompt, null, null, null, null);
  }

  @Test
  void fillsInTheModelsOwnValues() {
    GenerationRequest request = pipeline.model().prepare(prompt("a cat"));
    assertThat(request)
        .isEqualTo(
            new GenerationRequest(
                "id-1",
                Arguments.NONE
                    .with(Parameters.PROMPT, "a cat")
                    .with(Parameters.NEGATIVE_PROMPT, "")
                    .with(Parameters.SEED, Seeds.fromId("id-1"))
                    .with(Parameters.SCHEDULER, "PNDMScheduler")
                    .with(Parameters.STEPS, 50L)
                    .with(Parameters.GUIDANCE_SCALE, 7.5)
                    .with(Parameters.GUIDANCE_RESCALE, 0.0)
                    .with(Parameters.ETA, 0.0)
                    .with(Parameters.WIDTH, 64L)
                    .with(Parameters.HEIGHT, 64L)));
  }

  @Test
  void theSeedOfAnIdIsStable() {
    assertThat(Seeds.fromId("id-1"))
        .isEqualTo(Seeds.fromId("id-1"))
        .isNotEqualTo(Seeds.fromId("id-2"))
        .isBetween(0L, (1L << 32) - 1);
  }

  /** As diffusers does; the picture of one is among the parity cases. */
  @ParameterizedTest
  @ValueSource(strings = {"", "  ", "\t\n"})
  void takesABlankPrompt(String blank) {
    assertThat(pipeline.model().prepare(prompt(blank)).get(Parameters.PROMPT)).isEqualTo(blank);
  }

  @Test
  void refusesARequestWithoutAPrompt() {
    assertThatThrownBy(() -> pipeline.model().prepare(GenerationSpec.of("id-1")))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessage("The request has no prompt; it must be a text.");
  }

  @ParameterizedTest
  @CsvSource({"0", "-1", "1001", "10000"})
  void refusesStepsOutOfRange(int steps) {
    assertThatThrownBy(() -> pipeline.model().prepare(spec("a cat", steps, null, null, null)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining(Integer.toString(steps))
        .hasMessageContaining("1000");
  }

  @ParameterizedTest
  @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY})
  void refusesAGuidanceScaleThatIsNoNumber(double guidance) {
    assertThatThrownBy(() -> pipeline.model().prepare(spec("a cat", null, guidance, null, null)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("guidanceScale")
        .hasMessageContaining(Double.toString(guidance));
  }

  @Test
  void refusesASchedulerItDoesNotKnowAndNamesThoseItKnows() {
    assertThatThrownBy(
            () -> pipeline.model().prepare(spec("a cat", null, null, "FooScheduler", null)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("FooScheduler")
        .hasMessageContaining("EulerDiscreteScheduler");
  }

  @ParameterizedTest
  @ValueSource(ints = {7, 0, -8, 12, 8200, Integer.MAX_VALUE})
  void refusesAWidthThatTheModelCanNotMake(int width) {
    assertThatThrownBy(() -> pipeline.model().prepare(spec("a cat", null, null, null, width)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("width is " + width);
  }

  @Test
  void refusesWhatItDoesNotTakeAndNamesWhatItTakes() {
    GenerationSpec spec = prompt("a cat").with(Parameters.IMAGE_GUIDANCE_SCALE, 1.5);
    assertThatThrownBy(() -> pipeline.model().prepare(spec))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("imageGuidanceScale")
        .hasMessageContaining("negativePrompt");
  }

  @Test
  void refusesAnImageThatDoesNotFit() {
    GenerationSpec gray = prompt("a cat").with(Parameters.IMAGE, Raster.filled(1, 64, 64, 0));
    assertThatThrownBy(() -> pipeline.model().prepare(gray))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("image has 1 channels; it must have 3");
    GenerationSpec odd =
        prompt("a cat")
            .with(Parameters.IMAGE, Raster.filled(3, 64, 60, 0))
            .with(Parameters.WIDTH, 60L);
    assertThatThrownBy(() -> pipeline.model().prepare(odd))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("width is 60");
    GenerationSpec little =
        prompt("a cat")
            .with(Parameters.IMAGE, Raster.filled(3, 64, 64, 0))
            .with(Parameters.STEPS, 4L)
            .with(Parameters.STRENGTH, 0.2);
    assertThatThrownBy(() -> pipeline.model().prepare(little))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("strength 0.2 of 4 steps");
    GenerationSpec without = prompt("a cat").with(Parameters.STRENGTH, 0.5);
    assertThatThrownBy(() -> pipeline.model().prepare(without))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("no image");
  }

  @Test
  void aListOfTimestepsSaysHowManyStepsThereAre() {
    GenerationSpec listed =
        prompt("a cat")
            .with(Parameters.SCHEDULER, "EulerDiscreteScheduler")
            .with(Parameters.TIMESTEPS, new Numbers(900, 500, 20));
    assertThat(pipeline.model().prepare(listed).steps()).isEqualTo(3);
    GenerationSpec sigmas =
        prompt("a cat")
            .with(Parameters.SCHEDULER, "EulerDiscreteScheduler")
            .with(Parameters.SIGMAS, new Numbers(9, 4, 1, 0));
    assertThat(pipeline.model().prepare(sigmas).steps()).isEqualTo(3);
    assertThatThrownBy(() -> pipeline.model().prepare(listed.with(Parameters.STEPS, 4L)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("3 timesteps for 4 steps");
    assertThatThrownBy(
            () -> pipeline.model().prepare(listed.with(Parameters.SCHEDULER, "DDIMScheduler")))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("DDIMScheduler takes no timesteps");
    assertThatThrownBy(
            () -> pipeline.model().prepare(listed.with(Parameters.TIMESTEPS, new Numbers(5, 6))))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("timesteps is [5.0, 6.0]")
        .hasMessageContaining("falling numbers");
  }

  @Test
  void refusesToLeaveOutMoreLayersThanThereAre() {
    assertThat(pipeline.model().prepare(prompt("a cat").with(Parameters.CLIP_SKIP, 2L)))
        .isNotNull();
    assertThatThrownBy(
            () -> pipeline.model().prepare(prompt("a cat").with(Parameters.CLIP_SKIP, 3L)))
        .isInstanceOf(InvalidRequestException.class)
        .hasMessageContaining("clipSkip is 3")
        .hasMessageContaining("2 layers");
  }

  @Test
  void aPromptOfAHundredThousandCharactersIsCutAndFlagged() {
    GenerationRequest request =
        pipeline.model().prepare(spec("apple ".repeat(20_000), 1, 1.0, "DDIMScheduler", null));
    List<Trajectory> trajectories = pipeline.start(List.of(request));
    pipeline.step(trajectories);
    assertThat(pipeline.finish(trajectories).get(0).promptTruncated()).isTrue();
  }

  @Test
  void aNumberThatIsNotFiniteFailsItsRequestAloneAndChangesNothing() {
    List<Trajectory> started =
        pipeline.start(
            List.of(
                pipeline.model().prepare(spec("a cat", 2, 1.0, "DDIMScheduler", null)),
                pipeline.model().prepare(spec("a dog", 2, 1.0, "DDIMScheduler", null))));
    TrajectorySnapshot healthy = started.get(0).snapshot();
    TrajectorySnapshot broken = started.get(1).snapshot();
    broken.sample()[3] = Float.NaN;
    List<Trajectory> batch = pipeline.restore(List.of(healthy, broken));
    assertThatThrownBy(() -> pipeline.step(batch))
        .isInstanceOfSatisfying(
            NotFiniteException.class, e -> assertThat(e.positions()).containsExactly(1))
        .hasMessageContaining("step 0 of 2");
    assertThat(batch.get(0).snapshot()).isEqualTo(healthy);
    assertThatCode(() -> pipeline.step(batch.subList(0, 1))).doesNotThrowAnyException();
  }

  @Test
  void aPictureThatIsNotFiniteFailsItsRequestAlone() {
    GenerationRequest request =
        pipeline.model().prepare(spec("a cat", 1, 1.0, "DDIMScheduler", null));
    List<Trajectory> started = pipeline.start(List.of(request, request));
    pipeline.step(started);
    TrajectorySnapshot broken = started.get(1).snapshot();
    broken.sample()[0] = Float.NaN;
    List<Trajectory> done = pipeline.restore(List.of(started.get(0).snapshot(), broken));
    assertThatThrownBy(() -> pipeline.finish(done))
        .isInstanceOfSatisfying(
            NotFiniteException.class, e -> assertThat(e.positions()).containsExactly(1));
    assertThat(pipeline.finish(done.subList(0, 1))).hasSize(1);
  }

  @ParameterizedTest
  @ValueSource(strings = {"DDIMScheduler", "DPMSolverMultistepScheduler", "PNDMScheduler"})
  void aTrajectoryTakesAsManyBytesAsIsSaidBeforeItBegins(String scheduler) {
    GenerationRequest request = pipeline.model().prepare(spec("a cat", 8, 1.0, scheduler, null));
    List<Trajectory> trajectory = pipeline.start(List.of(request));
    long most = 0;
    while (!trajectory.get(0).done()) {
      TrajectorySnapshot snapshot = trajectory.get(0).snapshot();
      long values = snapshot.sample().length;
      for (float[] earlier : snapshot.history()) {
        values += earlier.length;
      }
      most = Math.max(most, Float.BYTES * values);
      pipeline.step(trajectory);
    }
    assertThat(pipeline.model().trajectoryBytes(request)).isEqualTo(most);
  }

  @Test
  void aSnapshotThatDoesNotFitItsPlanBeginsAnewAndEndsInTheSamePicture() {
    GenerationRequest request =
        pipeline.model().prepare(spec("a cat", 3, 1.0, "DPMSolverMultistepScheduler", null));
    List<Trajectory> undisturbed = pipeline.start(List.of(request));
    pipeline.step(undisturbed);
    TrajectorySnapshot saved = undisturbed.get(0).snapshot();
    TrajectorySnapshot foreign =
        new TrajectorySnapshot(
            request,
            saved.basis(),
            saved.step(),
            saved.sample(),
            new float[7][saved.sample().length],
            saved.generator());
    List<Trajectory> restored = pipeline.restore(List.of(foreign));
    assertThat(restored.get(0).step()).isZero();
    while (!undisturbed.get(0).done()) {
      pipeline.step(undisturbed);
    }
    while (!restored.get(0).done()) {
      pipeline.step(restored);
    }
    assertThat(pipeline.finish(restored).get(0).image())
        .isEqualTo(pipeline.finish(undisturbed).get(0).image());
  }

  @Test
  void trajectoriesOfOneShapeShareABatchAndOthersDoNot() {
    List<Trajectory> trajectories =
        pipeline.start(
            List.of(
                pipeline.model().prepare(spec("a cat", 2, 1.0, "DDIMScheduler", null)),
                pipeline.model().prepare(spec("a dog", 5, 7.5, "PNDMScheduler", 64)),
                pipeline.model().prepare(spec("a dog", 5, 7.5, "PNDMScheduler", 96))));
    assertThat(trajectories.get(0).batchKey())
        .isEqualTo(trajectories.get(1).batchKey())
        .isNotEqualTo(trajectories.get(2).batchKey());
    assertThat(trajectories).extracting(Trajectory::rows).containsExactly(1, 2, 2);
  }

  @ParameterizedTest
  @CsvSource({
    "unet/config.json,       resnet_time_scale_shift, spatial,     default",
    "unet/config.json,       class_embed_type,        timestep,    null",
    "unet/config.json,       num_class_embeds,        10,          null",
    "unet/config.json,       act_fn,                  elu,         silu",
    "vae/config.json,        act_fn,                  elu,         silu",
    "text_encoder/config.json, hidden_act,            gelu_new,    quick_gelu",
    "unet/config.json,       cross_attention_dim,     48,          32",
    "model_index.json,       _class_name,             WanPipeline, StableDiffusionPipeline"
  })
  void anUnsupportedConfigValueNamesFileKeyValueAndWhatIsSupported(
      String file, String key, String value, String supported, @TempDir Path temp)
      throws IOException {
    Path folder = copy(temp);
    Path config = folder.resolve(file);
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode json = (ObjectNode) mapper.readTree(config.toFile());
    if (value.matches("\\d+")) {
      json.put(key, Integer.parseInt(value));
    } else {
      json.put(key, value);
    }
    mapper.writeValue(config.toFile(), json);
    assertThatThrownBy(() -> Pipelines.open(folder, PipelineSettings.on(DeviceSpec.CPU)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining(config.getFileName().toString())
        .hasMessageContaining(key)
        .hasMessageContaining(value)
        .hasMessageContaining(supported);
  }

  @Test
  void weightsOfAnotherShapeThanTheConfigAsksForAreRefusedByName(@TempDir Path temp)
      throws IOException {
    Path folder = copy(temp);
    Path config = folder.resolve("unet/config.json");
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode json = (ObjectNode) mapper.readTree(config.toFile());
    json.putArray("block_out_channels").add(16).add(16).add(32).add(32);
    mapper.writeValue(config.toFile(), json);
    assertThatThrownBy(() -> Pipelines.open(folder, PipelineSettings.on(DeviceSpec.CPU)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("down_blocks.2.resnets.0")
        .hasMessageContaining("shape");
  }

  private static Path copy(Path target) throws IOException {
    try (Stream<Path> files = Files.walk(FOLDER)) {
      for (Path file : (Iterable<Path>) files::iterator) {
        Path copy = target.resolve(FOLDER.relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.createDirectories(copy);
        } else if (!file.toString().contains("golden")) {
          Files.copy(file, copy);
        }
      }
    }
    return target;
  }
}
