/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.deploy;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.embedded.LocalHub;
import io.github.flinkdiffusion.examples.ModelTool;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The download job of deploy/kubernetes: its own command, on a hub and a volume of this machine.
 */
class DownloadJobTest {
  private static final Path MODEL =
      Path.of("../../flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1");

  private final JsonNode container =
      Manifests.of("download").only("Job").at("/spec/template/spec/containers/0");

  @TempDir private Path folder;

  @Test
  void downloadsWhatTheJobReads() throws Exception {
    String deployed = Manifests.flinkConfiguration("cpu").get("diffusion.model.folder");
    assertThat(environment()).containsEntry("FOLDER", deployed);
    String repository = environment().get("MODEL").substring("hf://".length());

    try (LocalHub hub = LocalHub.start(0, Map.of(repository, MODEL))) {
      // Twice: a pod that was lost is replaced by one that does the same.
      for (int i = 0; i < 2; i++) {
        Process process = start(hub);
        String said = new String(process.getInputStream().readAllBytes(), UTF_8);
        assertThat(process.waitFor()).as(said).isZero();
        assertThat(said).contains("StableDiffusionPipeline").contains("is supported");
      }
    }

    Path linked = folder.resolve(deployed.substring(1));
    assertThat(linked.resolve("model_index.json"))
        .hasSameTextualContentAs(MODEL.resolve("model_index.json"));
    assertThat(Files.walk(folder.resolve("models"), 1)).hasSize(3);
  }

  @Test
  void endsAtOnceWhereTheModelIsNotSupported() throws Exception {
    Path other = Files.createDirectory(folder.resolve("other"));
    Files.writeString(
        other.resolve("model_index.json"), "{\"_class_name\": \"SomeVideoPipeline\"}");
    String repository = environment().get("MODEL").substring("hf://".length());

    try (LocalHub hub = LocalHub.start(0, Map.of(repository, other))) {
      Process process = start(hub);
      String said = new String(process.getInputStream().readAllBytes(), UTF_8);
      int status = process.waitFor();
      assertThat(said).contains("SomeVideoPipeline");
      JsonNode rule = Manifests.of("download").only("Job").at("/spec/podFailurePolicy/rules/0");
      assertThat(rule.at("/onExitCodes/values").toString()).contains(String.valueOf(status));
      assertThat(rule.at("/onExitCodes/containerName").asText())
          .isEqualTo(container.path("name").asText());
    }
  }

  private Map<String, String> environment() {
    Map<String, String> environment = new HashMap<>();
    for (JsonNode each : container.path("env")) {
      environment.put(each.path("name").asText(), each.path("value").asText());
    }
    return environment;
  }

  /** As the pod would, with the volume and the entry point in a folder of this test. */
  private Process start(LocalHub hub) throws Exception {
    Path bin = Files.createDirectories(folder.resolve("bin"));
    Path tool = bin.resolve("flink-diffusion");
    Files.writeString(
        tool,
        """
        #!/bin/bash
        [ "$1" = model ] && shift && exec "$JAVA" -Xmx256m -XX:TieredStopAtLevel=1 -Djava.io.tmpdir="$SCRATCH" -cp "$CLASSES" %s "$@"
        """
            .formatted(ModelTool.class.getName()));
    assertThat(tool.toFile().setExecutable(true)).isTrue();
    Files.createDirectories(folder.resolve("models"));

    List<String> command = new ArrayList<>();
    container.path("command").forEach(each -> command.add(each.asText()));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().keySet().removeIf(name -> name.startsWith("HF_"));
    environment()
        .forEach(
            (name, value) ->
                builder
                    .environment()
                    .put(name, value.startsWith("/models/") ? folder + value : value));
    builder.environment().put("PATH", bin + ":" + System.getenv("PATH"));
    builder
        .environment()
        .put("JAVA", Path.of(System.getProperty("java.home"), "bin/java").toString());
    builder.environment().put("CLASSES", System.getProperty("java.class.path"));
    builder.environment().put("SCRATCH", folder.toString());
    builder.environment().put("HF_ENDPOINT", hub.endpoint().toString());
    return builder.start();
  }
}
