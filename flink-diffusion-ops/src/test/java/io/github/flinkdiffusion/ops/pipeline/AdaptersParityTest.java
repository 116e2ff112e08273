/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Requests that name LoRAs get the images of diffusers' {@code set_adapters}, from files that
 * change text encoders and convolutions of all kinds, too; {@code
 * src/test/python/make_adapter_fixtures.py} makes them.
 */
@Tag("names-its-engine")
class AdaptersParityTest {
  private static final Path FIXTURES = Path.of("src/test/resources/fixtures");
  private static final Path LORAS = FIXTURES.resolve("lora");
  private static final Path ADAPTERS = LORAS.resolve("adapters");
  private static final Offset<Float> TOLERANCE = Offset.offset(1e-3f);
  private static final Offset<Float> ALONE = Offset.offset(1e-4f);

  /** An image of the reference. */
  private record Run(JsonNode json) {
    String name() {
      return json.get("name").asText();
    }

    Path model() {
      return FIXTURES.resolve("models").resolve(json.get("model").asText());
    }

    List<Path> files() {
      return StreamSupport.stream(json.get("loras").spliterator(), false)
          .map(each -> LORAS.resolve(each.get("file").asText()))
          .toList();
    }

    private static String allowedName(String file) {
      return file.replace(".safetensors", "");
    }

    GenerationSpec spec() {
      GenerationSpec spec = GenerationSpec.of(name()).with(Parameters.SEED, 3L);
      for (Map.Entry<String, JsonNode> argument : json.get("arguments").properties()) {
        spec =
            ReferenceCalls.with(
                spec, ReferenceCalls.parameter(argument.getKey()), argument.getValue());
      }
      String loras =
          StreamSupport.stream(json.get("loras").spliterator(), false)
              .map(
                  each -> allowedName(each.get("file").asText()) + ":" + each.get("scale").asText())
              .collect(Collectors.joining(","));
      return loras.isEmpty() ? spec : spec.with(Parameters.LORAS, loras);
    }
  }

  private static List<Run> runs(String model) throws IOException {
    JsonNode cases = new ObjectMapper().readTree(ADAPTERS.resolve("cases.json").toFile());
    return StreamSupport.stream(cases.spliterator(), false)
        .filter(each -> each.get("model").asText().equals(model))
        .map(Run::new)
        .toList();
  }

  private static DiffusionPipeline open(List<Run> runs, String engine) {
    SortedMap<String, Path> files = new TreeMap<>();
    for (Run run : runs) {
      run.files().forEach(file -> files.put(Run.allowedName(file.getFileName().toString()), file));
    }
    return Pipelines.open(
        runs.get(0).model(),
        PipelineSettings.on(DeviceSpec.CPU)
            .withEngine(engine)
            .withAdapters(new AdapterSettings(files, 2)));
  }

  private static List<float[]> images(DiffusionPipeline pipeline, List<Run> runs) {
    List<Trajectory> all =
        pipeline.start(runs.stream().map(Run::spec).map(pipeline.model()::prepare).toList());
    while (!all.get(0).done()) {
      assertThat(all.stream().map(Trajectory::batchKey).distinct()).hasSize(1);
      pipeline.step(all);
      all = pipeline.restore(all.stream().map(Trajectory::snapshot).toList());
    }
    List<float[]> images = new ArrayList<>();
    pipeline.finish(all).forEach(each -> images.add(each.image().data()));
    return images;
  }

  /** In one batch, restored after every step. */
  private static void compare(String model, String engine) throws IOException {
    List<Run> runs = runs(model);
    try (DiffusionPipeline pipeline = open(runs, engine);
        TensorStore expected = Safetensors.open(ADAPTERS.resolve("images.safetensors"))) {
      List<float[]> images = images(pipeline, runs);
      float[] plain = expected.floats(runs.get(0).name());
      for (int i = 0; i < runs.size(); i++) {
        Run run = runs.get(i);
        assertThat(images.get(i))
            .as(run.name())
            .containsExactly(expected.floats(run.name()), TOLERANCE);
        if (i > 0) {
          assertThat(Arrays.equals(images.get(i), plain)).as(run.name()).isFalse();
        }
        assertThat(images.get(i))
            .as(run.name() + " alone")
            .containsExactly(images(pipeline, List.of(run)).get(0), ALONE);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"tiny-sd1", "tiny-sdxl"})
  void imagesAreTheReferences(String model) throws IOException {
    compare(model, "onnxruntime");
  }

  @ParameterizedTest
  @CsvSource({"tiny-sd1,pytorch", "tiny-sdxl,pytorch"})
  @Tag("nightly")
  void imagesAreTheReferencesOnTheOtherEngineToo(String model, String engine) throws IOException {
    compare(model, engine);
  }
}
