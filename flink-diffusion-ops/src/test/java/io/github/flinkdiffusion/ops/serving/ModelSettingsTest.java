/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.pipeline.ComponentSettings;
import io.github.flinkdiffusion.ops.weights.Lora;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

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

  @Test
  void ipAdaptersMayHaveAnEncoderOfTheirOwn() {
    Configuration config = new Configuration();
    config.set(DiffusionOptions.MODEL_FOLDER, "/models/sd");
    config.set(DiffusionOptions.MODEL_IMAGE_ENCODER, "/adapters/image_encoder");
    assertThatThrownBy(() -> ModelSettings.of(config))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("no value without diffusion.model.ip-adapters");
    config.set(DiffusionOptions.MODEL_IP_ADAPTERS, List.of("/adapters/ip.safetensors"));

    ModelSettings settings = ModelSettings.of(config);

    assertThat(settings.on(DeviceSpec.CPU).ipAdapters())
        .containsExactly(Path.of("/adapters/ip.safetensors"));
    assertThat(settings.on(DeviceSpec.CPU).imageEncoder())
        .contains(Path.of("/adapters/image_encoder"));
    assertThat(settings.files())
        .contains(Path.of("/adapters/ip.safetensors"), Path.of("/adapters/image_encoder"));
    assertThat(new ModelFolderPipelines(settings).model())
        .contains("/adapters/ip.safetensors")
        .contains("/adapters/image_encoder");
    config.set(DiffusionOptions.MODEL_IMAGE_ENCODER, "s3://bucket/image_encoder");
    assertThatThrownBy(() -> ModelSettings.of(config))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("hf://owner/name/folder");
    config.removeConfig(DiffusionOptions.MODEL_IMAGE_ENCODER);
    config.set(DiffusionOptions.MODEL_IP_ADAPTERS, List.of("a", "b", "c", "d", "e"));
    assertThatThrownBy(() -> ModelSettings.of(config))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("1 to 4 files");
  }

  @Test
  void componentsHaveTheirOwnPrecisionsAndDevices() {
    Configuration config = new Configuration();
    config.set(DiffusionOptions.MODEL_FOLDER, "/models/sd");
    config.set(DiffusionOptions.MODEL_PRECISIONS, List.of("text_encoder_3=BFLOAT16"));
    config.set(DiffusionOptions.MODEL_DEVICES, List.of("vae=cpu"));
    config.set(DiffusionOptions.MODEL_UNLOAD_TEXT_ENCODERS, true);

    assertThat(ModelSettings.of(config).on(DeviceSpec.CPU).components())
        .isEqualTo(
            ComponentSettings.of(
                Map.of("text_encoder_3", Precision.BFLOAT16), Map.of("vae", DeviceSpec.CPU), true));
  }

  @ParameterizedTest
  @CsvSource({
    "diffusion.model.precisions, vae",
    "diffusion.model.precisions, vae=INT8",
    "diffusion.model.precisions, vae=",
    "diffusion.model.precisions, =FLOAT16",
    "diffusion.model.precisions, a/b=FLOAT16",
    "diffusion.model.precisions, vae=FLOAT16;vae=FLOAT32",
    "diffusion.model.devices, vae=auto",
    "diffusion.model.devices, vae=tpu",
    "diffusion.model.devices, cpu"
  })
  void otherEntriesOfComponentsAreRefused(String key, String value) {
    Configuration config = new Configuration();
    config.set(DiffusionOptions.MODEL_FOLDER, "/models/sd");
    config.setString(key, value);

    assertThatThrownBy(() -> ModelSettings.of(config))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContainingAll("Invalid entry", key, "expected");
  }
}
