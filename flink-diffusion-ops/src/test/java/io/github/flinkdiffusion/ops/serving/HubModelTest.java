/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.embedded.LocalHub;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.util.InstantiationUtil;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A job names its model on a hub; {@link LocalHub} is the hub. */
class HubModelTest {
  private static final Path MODEL =
      Path.of("src/test/resources/fixtures/models/tiny-concat-upscale");

  @TempDir Path home;
  private LocalHub hub;

  @BeforeEach
  void start() {
    hub = LocalHub.start(0, Map.of("owner/tiny", MODEL));
    System.setProperty("HF_ENDPOINT", hub.endpoint().toString());
    System.setProperty("HF_HOME", home.toString());
  }

  @AfterEach
  void stop() {
    System.clearProperty("HF_ENDPOINT");
    System.clearProperty("HF_HOME");
    hub.close();
  }

  @Test
  void aTaskManagerDownloadsAndOpensTheModel() throws Exception {
    ModelFolderPipelines named =
        InstantiationUtil.clone(new ModelFolderPipelines(settings("hf://owner/tiny@main")));
    assertThat(hub.requests()).isEmpty();
    assertThat(named.model()).isEqualTo("hf://owner/tiny");
    assertThat(named.files()).isNotEmpty().isEqualTo(named.files());
    int requests = hub.requests().size();

    assertThat(named.digest()).isEqualTo(new ModelFolderPipelines(local()).digest());
    try (DiffusionPipeline pipeline = named.open("cpu")) {
      assertThat(pipeline.model().info().name()).isEqualTo("tiny");
    }
    assertThat(hub.requests()).hasSize(requests);
  }

  @Test
  void aModelThatTheHubDoesNotHaveEndsTheJob() {
    ModelFolderPipelines named = new ModelFolderPipelines(settings("hf://owner/none"));

    assertThatThrownBy(named::files)
        .isInstanceOf(UnusableModelException.class)
        .hasMessageContaining("hf://owner/none");
  }

  @Test
  void aNameThatIsNoneIsRefusedBeforeTheJobRuns() {
    assertThatThrownBy(() -> settings("hf://tiny"))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("diffusion.model.folder")
        .hasMessageContaining("expected hf://owner/name");
    Configuration config = new Configuration();
    config.set(DiffusionOptions.MODEL_FOLDER, "/models/x");
    config.set(DiffusionOptions.MODEL_LORAS, List.of("hf://x=0.5"));
    assertThatThrownBy(() -> ModelSettings.of(config))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("diffusion.model.loras");
  }

  private static ModelSettings local() {
    return settings(MODEL.toString());
  }

  private static ModelSettings settings(String folder) {
    Configuration config = new Configuration();
    config.set(DiffusionOptions.MODEL_FOLDER, folder);
    return ModelSettings.of(config);
  }
}
