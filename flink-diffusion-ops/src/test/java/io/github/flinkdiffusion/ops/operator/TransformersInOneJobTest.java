/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static io.github.flinkdiffusion.ops.operator.Subtask.settings;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelFolderPipelines;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.ModelSettings;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Requests for diffusion transformers of every family and for Stable Diffusion in one subtask,
 * saved and restored on the way: diffusers' images.
 */
class TransformersInOneJobTest {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models");
  private static final List<String> FOLDERS =
      List.of(
          "tiny-sd3",
          "tiny-flux-dev",
          "tiny-qwen-image",
          "tiny-z-image",
          "tiny-pixart-alpha",
          "tiny-sana",
          "tiny-lumina-2");

  /** What a request's image may be off by, and half a level of eight bits. */
  private static final Offset<Float> CLOSE = Offset.offset(1e-3f + 0.51f / 255);

  private static ModelFolderPipelines model(String folder) {
    return new ModelFolderPipelines(
        ModelSettings.of(
            Configuration.fromMap(
                Map.of("diffusion.model.folder", MODELS.resolve(folder).toString()))));
  }

  private static ModelList models() {
    ModelList models = ModelList.of(model("tiny-sd1"));
    for (String folder : FOLDERS) {
      models = models.with(folder, model(folder));
    }
    return models;
  }

  /** The folders' runs that begin with a text alone, with what diffusers made of them. */
  private static Map<PromptEvent, float[]> runs() throws IOException {
    Map<PromptEvent, float[]> runs = new LinkedHashMap<>();
    for (String folder : FOLDERS) {
      Path golden = MODELS.resolve(folder).resolve("golden");
      JsonNode manifest = new ObjectMapper().readTree(golden.resolve("cases.json").toFile());
      try (Safetensors tensors =
          Safetensors.open(golden.resolve(manifest.get("tensorsFile").asText()))) {
        for (JsonNode run : manifest.get("cases")) {
          if (run.get("inputs").isEmpty() && run.get("schedulerOverrides").isEmpty()) {
            runs.put(prompt(folder, run), tensors.floats(run.get("tensors").get("image").asText()));
          }
        }
      }
    }
    return runs;
  }

  private static PromptEvent prompt(String folder, JsonNode run) {
    Map<String, String> parameters = new HashMap<>();
    parameters.put(ModelList.PARAMETER, folder);
    for (Map.Entry<String, JsonNode> argument : run.get("arguments").properties()) {
      if (!argument.getKey().equals("prompt")) {
        parameters.put(name(argument.getKey()), text(argument.getValue()));
      }
    }
    return PromptEvent.newBuilder()
        .setId(folder + " " + run.get("name").asText())
        .setPrompt(run.get("arguments").get("prompt").asText())
        .setSeed(run.get("seed").asLong())
        .setScheduler(run.get("scheduler").asText())
        .setParameters(parameters)
        .build();
  }

  private static String name(String argument) {
    if (argument.equals("num_inference_steps")) {
      return "steps";
    }
    StringBuilder name = new StringBuilder();
    for (String word : argument.split("_")) {
      name.append(
          name.isEmpty() ? word : Character.toUpperCase(word.charAt(0)) + word.substring(1));
    }
    return name.toString();
  }

  private static String text(JsonNode value) {
    if (!value.isArray()) {
      return value.asText();
    }
    StringJoiner numbers = new StringJoiner(",");
    value.forEach(number -> numbers.add(number.asText()));
    return numbers.toString();
  }

  @Test
  @Tag("nightly") // it opens eight models twice; SeveralModelsTest is quick
  void requestsOfAllFamiliesEndInTheReferencesImages() throws Exception {
    Map<PromptEvent, float[]> runs = runs();
    DiffusionSettings settings = settings(DiffusionOptions.DEVICE, "cpu");
    OperatorSubtaskState state;
    ManualDevices before = new ManualDevices();
    List<ImageEvent> images = new ArrayList<>();
    try (Subtask subtask = new Subtask(models(), settings, before.services).open()) {
      subtask.harness.processElement(Subtask.prompt("stable-diffusion", 5), 0);
      for (PromptEvent prompt : runs.keySet()) {
        subtask.harness.processElement(prompt, 0);
      }
      before.deviceCall();
      before.deviceCall();
      state = subtask.snapshot();
      images.addAll(subtask.images());
      assertThat(subtask.inFlight()).isEqualTo(runs.size() + 1);
    }
    ManualDevices after = new ManualDevices();
    try (Subtask subtask = new Subtask(models(), settings, after.services).restore(state)) {
      subtask.settle(after);
      subtask.settle(after);
      assertThat(subtask.failures()).isEmpty();
      images.addAll(subtask.images());
    }

    Map<String, ImageEvent> byId = new HashMap<>();
    images.forEach(image -> byId.put(image.getId(), image));
    assertThat(byId).hasSize(runs.size() + 1).containsKey("stable-diffusion");
    assertThat(runs).hasSizeGreaterThanOrEqualTo(26);
    runs.forEach(
        (prompt, expected) -> {
          ImageEvent image = byId.get(prompt.getId());
          assertThat(image.getModel()).isEqualTo(prompt.getParameters().get(ModelList.PARAMETER));
          assertThat(PngCodec.decode(image.getImage().array()).data())
              .as(prompt.getId())
              .containsExactly(expected, CLOSE);
        });
  }
}
