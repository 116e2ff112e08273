/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Same folder, arguments and seed: the picture that diffusers makes, for every pipeline class. The
 * runs are calls of diffusers in its own words.
 */
class PipelineParityTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static final double TOLERANCE = 1e-3;
  private static final Map<String, DiffusionPipeline> OPEN = new HashMap<>();

  @TempDir private static Path temp;

  private record Run(String folder, Path tensors, JsonNode json) {
    String pipeline() {
      return json.get("pipeline").asText();
    }

    GenerationSpec spec() {
      GenerationSpec spec =
          GenerationSpec.of(json.get("name").asText())
              .with(Parameters.SEED, json.get("seed").asLong())
              .with(Parameters.SCHEDULER, json.get("scheduler").asText());
      Iterator<Map.Entry<String, JsonNode>> arguments = json.get("arguments").fields();
      while (arguments.hasNext()) {
        Map.Entry<String, JsonNode> argument = arguments.next();
        spec =
            ReferenceCalls.with(
                spec, ReferenceCalls.parameter(argument.getKey()), argument.getValue());
      }
      Iterator<Map.Entry<String, JsonNode>> inputs = json.get("inputs").fields();
      while (inputs.hasNext()) {
        Map.Entry<String, JsonNode> input = inputs.next();
        spec =
            ReferenceCalls.with(
                spec,
                ReferenceCalls.parameter(input.getKey(), json.get("inputs")),
                raster(tensors, input.getValue().asText()));
      }
      return spec;
    }

    @Override
    public String toString() {
      return folder + ": " + pipeline() + ", " + json.get("name").asText();
    }
  }

  private static Raster raster(Path tensors, String name) {
    try (TensorStore store = Safetensors.open(tensors)) {
      long[] shape = store.info(name).shape();
      int first = shape.length - 3;
      return new Raster(
          (int) shape[first], (int) shape[first + 1], (int) shape[first + 2], store.floats(name));
    }
  }

  static Stream<Run> runs() throws IOException {
    return Stream.concat(runs("pipelines.json"), transformers());
  }

  private static Stream<Run> transformers() throws IOException {
    return Stream.concat(runs("pipelines-transformers.json"), runs("pipelines-joint.json"));
  }

  private static Stream<Run> runs(String list) throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    List<Run> runs = new ArrayList<>();
    for (JsonNode file : mapper.readTree(MODELS.resolve(list).toFile()).get("runs")) {
      Path manifest = MODELS.resolve(file.asText());
      JsonNode json = mapper.readTree(manifest.toFile());
      Path tensors = manifest.resolveSibling(json.get("tensorsFile").asText());
      json.get("cases")
          .forEach(run -> runs.add(new Run(json.get("folder").asText(), tensors, run)));
    }
    return runs.stream().filter(run -> Pipelines.supported().contains(run.pipeline()));
  }

  @AfterAll
  static void close() {
    OPEN.values().forEach(DiffusionPipeline::close);
    OPEN.clear();
  }

  private static DiffusionPipeline pipeline(Run run) {
    JsonNode overrides = run.json().get("schedulerOverrides");
    JsonNode components = run.json().path("components");
    return OPEN.computeIfAbsent(
        run.pipeline() + " " + run.folder() + " " + overrides + components,
        key ->
            Pipelines.openAs(
                run.pipeline(),
                folder(run.folder(), overrides, components),
                PipelineSettings.on(DeviceSpec.CPU)));
  }

  /**
   * The folder, or a copy whose scheduler's config has other values, or that has networks from
   * elsewhere.
   */
  private static Path folder(String name, JsonNode overrides, JsonNode components) {
    Path folder = MODELS.resolve(name);
    if (overrides.isEmpty() && components.isEmpty()) {
      return folder;
    }
    Path copy = temp.resolve(name + OPEN.size());
    try {
      copy(folder, copy);
      ObjectMapper mapper = new ObjectMapper();
      Path index = copy.resolve("model_index.json");
      ObjectNode classes = (ObjectNode) mapper.readTree(index.toFile());
      for (Map.Entry<String, JsonNode> component : components.properties()) {
        Path network = copy.resolve(component.getKey());
        copy(MODELS.resolve(component.getValue().asText()), network);
        JsonNode config = mapper.readTree(network.resolve("config.json").toFile());
        classes.putArray(component.getKey()).add("diffusers").add(config.get("_class_name"));
      }
      mapper.writeValue(index.toFile(), classes);
      Path config = copy.resolve("scheduler/scheduler_config.json");
      ObjectNode json = (ObjectNode) mapper.readTree(config.toFile());
      json.setAll((ObjectNode) overrides);
      mapper.writeValue(config.toFile(), json);
      return copy;
    } catch (IOException e) {
      throw new AssertionError("The fixture could not be copied.", e);
    }
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : (Iterable<Path>) files::iterator) {
        Path target = to.resolve(from.relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.createDirectories(target);
        } else if (!file.toString().contains("golden")) {
          Files.copy(file, target, StandardCopyOption.REPLACE_EXISTING);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("runs")
  void makesTheReferencesPicture(Run run) {
    DiffusionPipeline pipeline = pipeline(run);
    List<Trajectory> trajectory = pipeline.start(List.of(pipeline.model().prepare(run.spec())));
    assertThat(trajectory.get(0).totalSteps()).isEqualTo(run.json().get("networkCalls").asInt());
    while (!trajectory.get(0).done()) {
      pipeline.step(trajectory);
    }
    GeneratedImage image = pipeline.finish(trajectory).get(0);
    assertEqualsReference(run, image.image());
    assertThat(image.request().width()).isEqualTo(image.image().width());
    assertThat(image.request().height()).isEqualTo(image.image().height());
  }

  @ParameterizedTest
  @MethodSource("runs")
  void aTrajectorySavedAtAnyStepEndsInTheSamePicture(Run run) {
    DiffusionPipeline pipeline = pipeline(run);
    GenerationRequest request = pipeline.model().prepare(run.spec());
    Trajectory trajectory = pipeline.start(List.of(request)).get(0);
    long most = 0;
    while (!trajectory.done()) {
      TrajectorySnapshot saved = trajectory.snapshot();
      long earlier = Stream.of(saved.history()).mapToLong(values -> values.length).sum();
      most = Math.max(most, Float.BYTES * (saved.sample().length + earlier));
      pipeline.step(List.of(trajectory));
      // Taken off the device and put back after every single step.
      trajectory = pipeline.restore(List.of(trajectory.snapshot())).get(0);
    }
    assertEqualsReference(run, pipeline.finish(List.of(trajectory)).get(0).image());
    assertThat(pipeline.model().trajectoryBytes(request)).isIn(0L, most);
  }

  static Stream<List<Run>> sharingRuns() throws IOException {
    return transformers()
        .filter(run -> run.json().get("schedulerOverrides").isEmpty())
        .collect(Collectors.groupingBy(run -> run.pipeline() + run.folder()))
        .values()
        .stream()
        .filter(together -> together.size() > 1);
  }

  /** Rows of texts of other lengths, at other steps, with and without guidance. */
  @ParameterizedTest
  @MethodSource("sharingRuns")
  void runsThatShareNetworkCallsEndInTheSamePictures(List<Run> together) {
    DiffusionPipeline pipeline = pipeline(together.get(0));
    Map<Run, Trajectory> trajectories = new LinkedHashMap<>();
    for (Run run : together) {
      Trajectory next = pipeline.start(List.of(pipeline.model().prepare(run.spec()))).get(0);
      trajectories.put(run, next);
      step(pipeline, trajectories.values());
    }
    while (trajectories.values().stream().anyMatch(each -> !each.done())) {
      step(pipeline, trajectories.values());
    }
    trajectories.forEach(
        (run, trajectory) ->
            assertEqualsReference(run, pipeline.finish(List.of(trajectory)).get(0).image()));
  }

  private static void step(DiffusionPipeline pipeline, Collection<Trajectory> trajectories) {
    trajectories.stream()
        .filter(each -> !each.done())
        .collect(Collectors.groupingBy(Trajectory::batchKey))
        .values()
        .forEach(pipeline::step);
  }

  private static void assertEqualsReference(Run run, Raster picture) {
    Raster expected = raster(run.tensors(), run.json().get("tensors").get("image").asText());
    assertThat(new int[] {picture.channels(), picture.height(), picture.width()})
        .isEqualTo(new int[] {expected.channels(), expected.height(), expected.width()});
    double worst = 0;
    for (int i = 0; i < expected.data().length; i++) {
      worst = Math.max(worst, Math.abs(picture.data()[i] - expected.data()[i]));
    }
    assertThat(worst).isLessThanOrEqualTo(TOLERANCE);
  }
}
