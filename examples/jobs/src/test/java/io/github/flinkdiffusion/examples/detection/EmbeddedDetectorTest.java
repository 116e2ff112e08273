/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.detection;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Bands;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import io.github.flinkdiffusion.ops.imaging.Composition;
import io.github.flinkdiffusion.ops.imaging.Ensemble;
import io.github.flinkdiffusion.ops.imaging.ModelBands;
import io.github.flinkdiffusion.ops.imaging.Region;
import io.github.flinkdiffusion.ops.imaging.ResultFormat;
import io.github.flinkdiffusion.ops.imaging.Scene;
import io.github.flinkdiffusion.ops.imaging.TaskPlan;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision.Box;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision.Found;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The embedded model mini-detect as it is committed, on scenes that it was not trained on. */
class EmbeddedDetectorTest {
  private static final Path MODEL = Path.of("../models/mini-detect");
  private static final Path RECIPE = Path.of("../recipes/mini-detect");
  private static final long MOST_BYTES = 5_000_000;

  @Test
  void theThingsOfHeldOutScenesAreFound() throws IOException {
    Path inputs = MODEL.resolve("inputs");
    CocoBoxes truth = CocoBoxes.read(inputs.resolve("instances.json"));
    JsonNode domain = new ObjectMapper().readTree(MODEL.resolve("domain.json").toFile());
    List<Found> found = new ArrayList<>();
    try (DiffusionPipeline pipeline = Pipelines.open(MODEL, PipelineSettings.on(DeviceSpec.CPU))) {
      truth
          .images()
          .forEach(
              (file, number) -> {
                Raster image = Images.read(inputs.resolve(file), ReadOptions.DEFAULT);
                for (Region region : regions(pipeline, image, domain)) {
                  found.add(
                      new Found(
                          CocoBoxes.key(number),
                          region.label(),
                          new Box(
                              region.box().x(),
                              region.box().y(),
                              region.box().width(),
                              region.box().height()),
                          region.score()));
                }
              });
    }
    DetectionPrecision measured = DetectionPrecision.of(truth.truths(), found);
    assertThat(truth.truths()).hasSizeGreaterThan(15);
    assertThat(measured.at50()).isGreaterThan(0.75);
    assertThat(measured.mean()).isGreaterThan(0.45);
  }

  /** As an image task gives them. */
  private static List<Region> regions(DiffusionPipeline pipeline, Raster image, JsonNode domain) {
    int samples = domain.path("samples").asInt();
    List<GenerationRequest> requests = new ArrayList<>();
    for (long seed = 0; seed < samples; seed++) {
      requests.add(
          pipeline
              .model()
              .prepare(
                  GenerationSpec.of("sample " + seed)
                      .with(Parameters.IMAGE, image)
                      .with(Parameters.SEED, seed)
                      .with(Parameters.STEPS, domain.path("steps").asLong())));
    }
    List<Trajectory> trajectories = pipeline.start(requests);
    while (!trajectories.get(0).done()) {
      pipeline.step(trajectories);
    }
    ResultMeaning meaning = pipeline.model().result(requests.get(0).arguments());
    Raster shares =
        Ensemble.reduced(
            pipeline.finish(trajectories).stream().map(made -> made.image()).toList(), meaning);
    Composition.Order order =
        new Composition.Order(
            TaskPlan.whole(image.width(), image.height(), 1, 1, samples),
            Scene.of(image, "image/png"),
            ModelBands.fit(Bands.RGB, 3, 3, List.of()),
            meaning,
            shares,
            ResultFormat.AUTO,
            Map.of(),
            Path.of("."));
    return Composition.compose(order, tile -> shares).regions().orElseThrow().items();
  }

  @Test
  void theCommittedConfigsAreThoseOfTheRecipe() throws IOException {
    ObjectMapper json = new ObjectMapper();
    for (String file :
        List.of(
            "model_index.json",
            "unet/config.json",
            "scheduler/scheduler_config.json",
            "domain.json")) {
      assertThat(json.readTree(MODEL.resolve(file).toFile()))
          .as(file)
          .isEqualTo(json.readTree(RECIPE.resolve(file).toFile()));
    }
    try (Stream<Path> files = Files.walk(MODEL)) {
      assertThat(files.mapToLong(file -> file.toFile().length()).sum()).isLessThan(MOST_BYTES);
    }
    assertThat(json.readTree(MODEL.resolve("model_index.json").toFile()).path("labels"))
        .extracting(JsonNode::asText)
        .containsExactlyElementsOf(
            Stream.concat(Stream.of("background"), SceneDrawing.LABELS.values().stream()).toList());
  }
}
