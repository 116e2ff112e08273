/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.FloatResize;
import io.github.flinkdiffusion.ops.image.PilResize;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.quality.Overlap;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The embedded image models as they are committed, on inputs that they were not trained on. */
class EmbeddedImageModelsTest {
  private static final Path SATELLITE = Path.of("../models/mini-satellite-x4");
  private static final Path BRAIN = Path.of("../models/mini-brain-mask");
  private static final long MAX_BYTES = 15_000_000;
  private static final int SAMPLES = 4;

  @Test
  void theCommittedConfigsAreThoseThatTheTrainingProgramsWrite() throws IOException {
    checkConfigs(SATELLITE, MiniSatelliteModel.files());
    checkConfigs(BRAIN, MiniBrainModel.files());
  }

  private static void checkConfigs(Path model, ModelFiles files) throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    for (Map.Entry<String, Map<String, Object>> file : files.files().entrySet()) {
      assertThat(mapper.readTree(model.resolve(file.getKey()).toFile()))
          .as(file.getKey())
          .isEqualTo(mapper.readTree(mapper.writeValueAsString(file.getValue())));
    }
  }

  @Test
  void areSmallEnoughForARepository() throws IOException {
    for (Path model : new Path[] {SATELLITE, BRAIN}) {
      try (Stream<Path> files = Files.walk(model)) {
        assertThat(files.mapToLong(file -> file.toFile().length()).sum())
            .isLessThanOrEqualTo(MAX_BYTES);
      }
    }
  }

  @Test
  void aSatellitePictureIsNearerToTheTruthThanABicubicOne() throws IOException {
    Raster seen = PngCodec.decode(Files.readAllBytes(SATELLITE.resolve("inputs/himalaya.png")));
    Raster truth = PngCodec.decode(Files.readAllBytes(SATELLITE.resolve("inputs/himalaya-x4.png")));
    Raster bicubic =
        FloatResize.resize(seen, truth.height(), truth.width(), PilResize.Filter.BICUBIC);
    try (DiffusionPipeline pipeline =
        Pipelines.open(SATELLITE, PipelineSettings.on(DeviceSpec.CPU))) {
      Ensemble ensemble = Ensemble.of(pipeline, seen, 1, 1);
      assertThat(squares(ensemble.mean(), truth)).isLessThan(0.74 * squares(bicubic, truth));
    }
  }

  @Test
  void aBrainIsFoundInBrightDarkAndTurnedSlices() throws IOException {
    Map<String, SliceVariation> shown =
        Map.of(
            "as scanned", SliceVariation.NONE,
            "brighter, less contrast", new SliceVariation(0, 1, 0, 0, false, 1.5, 0.75, 0, 0, 0),
            "darker", new SliceVariation(0, 1, 0, 0, false, 0.6, 1, 0, 0, 0),
            "turned", new SliceVariation(Math.toRadians(15), 1, 0, 0, false, 1, 1, 0, 0, 0));
    try (DiffusionPipeline pipeline = Pipelines.open(BRAIN, PipelineSettings.on(DeviceSpec.CPU))) {
      for (Map.Entry<String, SliceVariation> variation : shown.entrySet()) {
        for (int z : new int[] {60, 96}) {
          SliceVariation.Pair pair =
              variation
                  .getValue()
                  .apply(
                      input("slice-" + z),
                      input("slice-" + z + "-mask"),
                      HeadScan.HEIGHT,
                      HeadScan.WIDTH,
                      new Random(1));
          boolean[] found = marked(pipeline, pair.slice());
          boolean[] truth = inside(pair.mask());
          assertThat(Overlap.dice(found, truth))
              .as("slice %d, %s", z, variation.getKey())
              .isGreaterThan(0.95);
        }
      }
    }
  }

  private static Raster input(String name) throws IOException {
    return PngCodec.decode(Files.readAllBytes(BRAIN.resolve("inputs/" + name + ".png")));
  }

  @Test
  void noBrainIsFoundWhereThereIsNone() throws IOException {
    Map<String, Raster> pictures = new TreeMap<>();
    for (String name : new String[] {"alps", "java", "himalaya"}) {
      byte[] png = Files.readAllBytes(SATELLITE.resolve("inputs/" + name + ".png"));
      pictures.put(name, NonHeads.gray(PngCodec.decode(png)));
    }
    NonHeads drawn = new NonHeads(List.of(), List.of());
    Random random = new Random(2026);
    for (int i = 0; i < 20; i++) {
      pictures.put("drawn " + i, drawn.draw(random, HeadScan.HEIGHT, HeadScan.WIDTH));
    }
    for (float value : new float[] {0, 0.5f, 1}) {
      pictures.put(
          "nothing but " + value, Raster.filled(1, HeadScan.HEIGHT, HeadScan.WIDTH, value));
    }
    try (DiffusionPipeline pipeline = Pipelines.open(BRAIN, PipelineSettings.on(DeviceSpec.CPU))) {
      for (Map.Entry<String, Raster> picture : pictures.entrySet()) {
        assertThat(marked(pipeline, picture.getValue())).as(picture.getKey()).doesNotContain(true);
      }
    }
  }

  private static boolean[] marked(DiffusionPipeline pipeline, Raster picture) {
    return inside(Ensemble.of(pipeline, picture, SAMPLES, 1).mean());
  }

  private static boolean[] inside(Raster mask) {
    boolean[] inside = new boolean[mask.data().length];
    for (int i = 0; i < inside.length; i++) {
      inside[i] = mask.data()[i] >= 0.5f;
    }
    return inside;
  }

  private static double squares(Raster a, Raster b) {
    double sum = 0;
    for (int i = 0; i < a.data().length; i++) {
      double difference = a.data()[i] - b.data()[i];
      sum += difference * difference;
    }
    return sum;
  }
}
