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
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.noise.NoiseField;
import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Parts of larger pictures on tiny models: their places, their noise, and their saved state. What
 * such parts come to with a model that was trained is {@code TiledEnlargementTest} in the examples.
 */
class PartsOfPicturesTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static final long STEPS = 4;

  @ParameterizedTest
  @CsvSource({
    // The trained 32 x 32 give less than a large part, and the network does not attend.
    "tiny-concat-upscale, 4, 1, 64",
    "tiny-x4-upscaler, 4, 1, 16",
    "tiny-ldm-super-resolution, 4, 32, 32",
    "tiny-latent-upscaler, 2, 8, 32",
    "tiny-instruct-pix2pix, 1, 8, 64",
    "tiny-sd1, 1, 8, 64",
    "tiny-sdxl, 1, 8, 64"
  })
  void aModelSaysHowItsPartsLie(String model, int scale, int alignment, int tile) {
    try (DiffusionPipeline pipeline = open(model)) {
      assertThat(pipeline.model().tiling()).contains(new Tiling(scale, alignment, tile));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"tiny-ddpm", "tiny-ldm", "tiny-image-variation", "tiny-unidiffuser"})
  void aModelWhosePicturesHaveNoPartsTakesNoPlace(String model) {
    try (DiffusionPipeline pipeline = open(model)) {
      assertThat(pipeline.model().tiling()).isEmpty();
      assertThat(pipeline.model().signature().takes(Parameters.TILE_TOP_LEFT)).isFalse();
    }
  }

  /**
   * What the network is shown at the first call, sample and picture, where two parts overlap: noise
   * lies on the sample's grid and, for the x4 upscaler, on that of the small picture.
   */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "tiny-concat-upscale",
        "tiny-x4-upscaler",
        "tiny-ldm-super-resolution",
        "tiny-latent-upscaler",
        "tiny-instruct-pix2pix"
      })
  void partsThatOverlapBeginWithTheSameNoiseThere(String model) {
    try (DiffusionPipeline pipeline = open(model)) {
      Tiling tiling = pipeline.model().tiling().orElseThrow();
      int offset = tiling.alignment() * Math.max(1, tiling.tile() / (2 * tiling.alignment()));
      DenoisingTrajectory first = begun(pipeline, part(pipeline, 0, 0, 2 * offset));
      DenoisingTrajectory second = begun(pipeline, part(pipeline, offset, offset, 2 * offset));
      SampleShape shape = first.shape();
      int half = shape.width() / 2;
      float[] mine = first.state().sample();
      float[] its = second.state().sample();
      for (int c = 0; c < shape.channels(); c++) {
        for (int y = 0; y < half; y++) {
          for (int x = 0; x < half; x++) {
            assertThat(mine[at(shape, c, y + half, x + half)]).isEqualTo(its[at(shape, c, y, x)]);
          }
        }
      }
      assertThat(mine).isNotEqualTo(its);
    }
  }

  @Test
  void theNoiseOnASmallPictureIsSharedToo() {
    try (DiffusionPipeline pipeline = open("tiny-x4-upscaler")) {
      DenoisingTrajectory first = begun(pipeline, part(pipeline, 0, 0, 16));
      DenoisingTrajectory second = begun(pipeline, part(pipeline, 8, 0, 16));
      float[] mine = first.conditions().get(0).channels();
      float[] its = second.conditions().get(0).channels();
      SampleShape picture = new SampleShape(3, 16, 16);
      assertThat(mine[at(picture, 2, 5, 11)]).isEqualTo(its[at(picture, 2, 5, 3)]);
      assertThat(mine[at(picture, 2, 5, 11)]).isNotEqualTo(mine[at(picture, 2, 5, 3)]);
    }
  }

  private static int at(SampleShape shape, int channel, int y, int x) {
    return (channel * shape.height() + y) * shape.width() + x;
  }

  /** Draws of all shapes and the steps' noise, in a trajectory that draws at each step. */
  @ParameterizedTest
  @CsvSource({
    "tiny-concat-upscale, DDPMScheduler",
    "tiny-x4-upscaler, DDPMScheduler",
    "tiny-sd1, EulerAncestralDiscreteScheduler",
    "tiny-instruct-pix2pix, EulerAncestralDiscreteScheduler"
  })
  void aPartThatIsSavedAndTakenUpAtEachStepIsTheSameToTheBit(String model, String scheduler) {
    try (DiffusionPipeline pipeline = open(model)) {
      checkTakenUpAtEachStep(
          pipeline,
          part(pipeline, 8, 16, Math.min(32, pipeline.model().tiling().orElseThrow().tile()))
              .with(Parameters.SCHEDULER, scheduler));
    }
  }

  private static void checkTakenUpAtEachStep(DiffusionPipeline pipeline, GenerationSpec spec) {
    GenerationRequest request = pipeline.model().prepare(spec);
    List<Trajectory> through = pipeline.start(List.of(request));
    List<Trajectory> restored = pipeline.start(List.of(request));
    while (!through.get(0).done()) {
      assertThat(restored.get(0).snapshot()).isEqualTo(through.get(0).snapshot());
      pipeline.step(through);
      restored = pipeline.restore(List.of(restored.get(0).snapshot()));
      pipeline.step(restored);
    }
    restored = pipeline.restore(List.of(restored.get(0).snapshot()));
    assertThat(pipeline.finish(restored).get(0).image())
        .isEqualTo(pipeline.finish(through).get(0).image());
  }

  /** What a part draws is a layer of the field for each draw, wherever the last one lay. */
  @Test
  void eachDrawHasALayerOfItsOwnOnItsOwnGrid() {
    GenerationRequest request = placed(8, 32, 48);
    TrajectoryNoise noise = TrajectoryNoise.of(request);
    NoiseField field = new NoiseField(7);
    assertThat(noise.gaussian(new SampleShape(3, 48, 64)))
        .isEqualTo(field.draw(0, 3, 32, 48, 64, 48));
    assertThat(noise.gaussian(new SampleShape(4, 6, 8))).isEqualTo(field.draw(1, 4, 4, 6, 8, 6));
    TrajectoryNoise later = TrajectoryNoise.of(request).restored(noise.saveState());
    assertThat(later.shaped(new SampleShape(4, 6, 8)).gaussian(4 * 6 * 8))
        .isEqualTo(field.draw(2, 4, 4, 6, 8, 6));
  }

  @Test
  void thereIsNoNoiseBetweenTwoLatents() {
    TrajectoryNoise noise = TrajectoryNoise.of(placed(8, 36, 48));
    assertThatThrownBy(() -> noise.gaussian(new SampleShape(4, 6, 8)))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("aligned");
  }

  @Test
  void oneKindsStateIsNotTakenForTheOthers() {
    TrajectoryNoise noise = TrajectoryNoise.of(placed(8, 32, 48));
    byte[] torch = new TorchGenerator(1).saveState();
    assertThatThrownBy(() -> noise.restored(torch)).isInstanceOf(IllegalArgumentException.class);
    byte[] otherMagic = noise.saveState();
    otherMagic[0]++;
    assertThatThrownBy(() -> noise.restored(otherMagic))
        .isInstanceOf(IllegalArgumentException.class);
    byte[] negative = noise.saveState();
    negative[4] = -1;
    assertThatThrownBy(() -> noise.restored(negative)).isInstanceOf(IllegalArgumentException.class);
    TrajectoryNoise stream =
        TrajectoryNoise.of(
            new GenerationRequest("whole", Arguments.NONE.with(Parameters.SEED, 1L)));
    assertThatThrownBy(() -> stream.restored(noise.saveState()))
        .isInstanceOf(IllegalArgumentException.class);
    assertThat(stream.saveState()).isEqualTo(torch);
  }

  /** 64 x 48 pixels of the result. */
  private static GenerationRequest placed(long width, double left, double top) {
    return new GenerationRequest(
        "part",
        Arguments.NONE
            .with(Parameters.SEED, 7L)
            .with(Parameters.WIDTH, width * 8)
            .with(Parameters.HEIGHT, 48L)
            .with(Parameters.TILE_TOP_LEFT, new Numbers(left, top)));
  }

  @Test
  void aPlaceOffTheGridIsRefused() {
    try (DiffusionPipeline pipeline = open("tiny-sd1")) {
      GenerationSpec spec = part(pipeline, 0, 0, 64);
      assertThatThrownBy(
              () ->
                  pipeline.model().prepare(spec.with(Parameters.TILE_TOP_LEFT, new Numbers(8, 12))))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("[8.0, 12.0]")
          .hasMessageContaining("multiples of 8");
      assertThatThrownBy(
              () ->
                  pipeline
                      .model()
                      .prepare(spec.with(Parameters.TILE_TOP_LEFT, new Numbers(2_147_483_640, 0))))
          .hasMessageContaining("end before 2^31");
      assertThatThrownBy(
              () -> pipeline.model().prepare(spec.with(Parameters.TILE_TOP_LEFT, new Numbers(8))))
          .hasMessageContaining("two whole numbers from 0");
    }
  }

  @Test
  void aPlaceWithoutAPictureIsRefused() {
    try (DiffusionPipeline pipeline = open("tiny-sd1")) {
      GenerationSpec spec =
          GenerationSpec.of("text")
              .with(Parameters.PROMPT, "a disc")
              .with(Parameters.TILE_TOP_LEFT, new Numbers(0, 0));
      assertThatThrownBy(() -> pipeline.model().prepare(spec))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("tileTopLeft but no image");
    }
  }

  /** A tile has one side, so it is not offered where the sample is no square. */
  @Test
  void aPartOfAMaskIsAsLargeAsTheNetworksSample(@TempDir Path folder) throws IOException {
    try (DiffusionPipeline pipeline = open("tiny-concat-segmentation")) {
      assertThat(pipeline.model().tiling()).isEmpty();
    }
    Path model = MODELS.resolve("tiny-concat-segmentation");
    for (String file :
        List.of(
            "model_index.json",
            "scheduler/scheduler_config.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors")) {
      Files.createDirectories(folder.resolve(file).getParent());
      Files.copy(model.resolve(file), folder.resolve(file));
    }
    ObjectMapper json = new ObjectMapper();
    Path config = folder.resolve("unet/config.json");
    ObjectNode square = (ObjectNode) json.readTree(config.toFile());
    Files.writeString(config, json.writeValueAsString(square.put("sample_size", 16)));
    try (DiffusionPipeline pipeline = Pipelines.open(folder, PipelineSettings.on(DeviceSpec.CPU))) {
      assertThat(pipeline.model().tiling()).contains(new Tiling(1, 1, 16));
      assertThatThrownBy(() -> pipeline.model().prepare(part(pipeline, 0, 0, 12)))
          .isInstanceOf(InvalidRequestException.class)
          .hasMessageContaining("12 x 12; a part is as large as the network's sample");
      checkTakenUpAtEachStep(
          pipeline, part(pipeline, 5, 3, 16).with(Parameters.SCHEDULER, "DDPMScheduler"));
    }
  }

  private static DiffusionPipeline open(String model) {
    return Pipelines.open(MODELS.resolve(model), PipelineSettings.on(DeviceSpec.CPU));
  }

  private static DenoisingTrajectory begun(DiffusionPipeline pipeline, GenerationSpec spec) {
    return (DenoisingTrajectory) pipeline.start(List.of(pipeline.model().prepare(spec))).get(0);
  }

  /** A square of a picture without end. */
  private static GenerationSpec part(DiffusionPipeline pipeline, int left, int top, int side) {
    int channels = pipeline.model().imageChannels();
    float[] data = new float[channels * 256 * 256];
    for (int i = 0; i < data.length; i++) {
      int x = i % 256;
      int y = i / 256 % 256;
      data[i] = (float) (0.5 + 0.3 * Math.sin(x / 9.0 + i / (256 * 256)) * Math.cos(y / 7.0));
    }
    Raster picture = new Raster(channels, 256, 256, data);
    int scale = pipeline.model().tiling().orElseThrow().scale();
    GenerationSpec spec =
        GenerationSpec.of("part")
            .with(Parameters.IMAGE, picture.crop(new Window(left, top, side, side)))
            .with(Parameters.SEED, 3L)
            .with(Parameters.STEPS, STEPS)
            .with(Parameters.TILE_TOP_LEFT, new Numbers(left * scale, top * scale));
    return pipeline.model().signature().takes(Parameters.PROMPT)
        ? spec.with(Parameters.PROMPT, "a disc")
        : spec;
  }
}
