/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.Arguments;

/**
 * The folders of one file of fixtures, each to be opened with both engines.
 *
 * @param file of {@link FolderCase}s
 * @param quick those of the default build; the rest is compared every night
 */
record FolderCases(Path file, Set<String> quick) {
  private static final double TOLERANCE = 1e-3;

  FolderCases(String name, String... quick) {
    this(Path.of("src/test/resources/fixtures/folders", name), Set.of(quick));
  }

  /** A folder and an engine, of the default build. */
  Stream<Arguments> first() throws IOException {
    return both(true);
  }

  /** A folder and an engine, of the nightly build. */
  Stream<Arguments> others() throws IOException {
    return both(false);
  }

  private Stream<Arguments> both(boolean first) throws IOException {
    return FolderCase.read(file).stream()
        .filter(each -> quick.contains(each.name()) == first)
        .flatMap(
            each ->
                Stream.of(Engines.ONNX_RUNTIME, Engines.PYTORCH)
                    .map(engine -> Arguments.of(each, engine)));
  }

  FolderCase named(String name) throws IOException {
    return FolderCase.read(file).stream()
        .filter(each -> each.name().equals(name))
        .findFirst()
        .orElseThrow();
  }

  DiffusionPipeline open(String name, String engine, Path temp) throws IOException {
    FolderCase given = named(name);
    Path folder = Files.createTempDirectory(temp, engine);
    given.write(folder);
    return Pipelines.open(folder, given.settings(folder).withEngine(engine));
  }

  /** A folder's image, with trajectories restored after every step; or that it is refused. */
  static void compare(FolderCase given, String engine, Path temp) throws IOException {
    Path own = Files.createTempDirectory(temp, "case");
    given.write(own);
    PipelineSettings how = given.settings(own).withEngine(engine);
    JsonNode expected = given.expected().get(0);
    if (expected.has("refused")) {
      assertThatThrownBy(
              () -> {
                try (DiffusionPipeline pipeline = Pipelines.open(own, how)) {
                  pipeline.model().prepare(given.spec(0));
                }
              })
          .as("refused there: %s", expected.get("refused"))
          .isInstanceOfAny(WeightsException.class, InvalidRequestException.class);
      return;
    }
    try (DiffusionPipeline pipeline = Pipelines.open(own, how)) {
      Raster image = SmallRequests.restored(pipeline, given.spec(expected.get("seed").asLong()));
      assertThat(FolderCase.distance(image, FolderCase.expectedPicture(expected)))
          .isLessThanOrEqualTo(TOLERANCE);
    }
  }
}
