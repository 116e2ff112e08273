/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.weights.Lora;
import java.nio.file.Path;
import java.util.List;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.Test;

class ModelSettingsTest {

  @Test
  void aLoraIsSplitAtTheLastEqualsSign() {
    Configuration config = new Configuration();
    config.set(DiffusionOptions.MODEL_FOLDER, "/models/sd");
    config.set(
        DiffusionOptions.MODEL_LORAS,
        List.of("/loras/a=b.safetensors=0.5", "/loras/c.safetensors=-1.0"));

    assertThat(ModelSettings.of(config).on(DeviceSpec.CPU).loras())
        .containsExactly(
            new Lora(Path.of("/loras/a=b.safetensors"), 0.5),
            new Lora(Path.of("/loras/c.safetensors"), -1));
  }
}
