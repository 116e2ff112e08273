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
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The embedded image models as they are committed, on inputs that they were not trained on. */
class EmbeddedImageModelsTest {
  private static final Path SATELLITE = Path.of("../models/mini-satellite-x4");
  private static final Path BRAIN = Path.of("../models/mini-brain-mask");
  private static final long MAX_BYTES = 15_000_000;
  private static final int SAMPLES = 4;
  private static final long STEPS = 4;

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
  void aBrainIsFound() throws IOException {
    Raster slice = PngCodec.decode(Files.readAllBytes(BRAIN.resolve("inputs/slice-96.png")));
    Raster truth = PngCodec.decode(Files.readAllBytes(BRAIN.resolve("inputs/slice-96-mask.png")));
    try (DiffusionPipeline pipeline = Pipelines.open(BRAIN, PipelineSettings.on(DeviceSpec.CPU))) {
      Raster mean = Ensemble.of(pipeline, slice, SAMPLES, STEPS).mean();
      int both = 0;
      int either = 0;
      for (int i = 0; i < mean.data().length; i++) {
        boolean found = mean.data()[i] >= 0.5f;
        boolean there = truth.data()[i] >= 0.5f;
        both += found && there ? 1 : 0;
        either += (found ? 1 : 0) + (there ? 1 : 0);
      }
      assertThat(2.0 * both / either).isGreaterThan(0.9);
    }
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
