/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What trainings write can be opened again and shows what was trained. That diffusers makes the
 * same images of it is {@code src/test/python/check_training_out.py}'s to show.
 */
class TrainedFolderTest {
  @TempDir private Path out;

  @Test
  void whatWasTrainedIsSeenInTheImage() throws Exception {
    WriteTrainedModels.write(out);
    float[] before =
        WriteTrainedModels.image(
                Fixture.MODELS.resolve("tiny-sd1"), List.of(), "a photo of a small cat")
            .data();
    for (String name : List.of("text-to-image", "autoencoder", "lora", "lora-alpha")) {
      assertThat(distance(image(name), before)).as(name).isGreaterThan(0.005);
    }
    for (String name : List.of("lcm", "lcm-one-scale", "guidance", "progressive", "pruned")) {
      assertThat(distance(image("student-" + name), before)).as(name).isGreaterThan(0.005);
    }
    assertThat(out.resolve("student-lcm/model/model_index.json"))
        .content()
        .contains("LatentConsistencyModelPipeline", "LCMScheduler");
    assertThat(out.resolve("student-progressive/model/scheduler/scheduler_config.json"))
        .content()
        .contains("DDIMScheduler", "trailing", "v_prediction");
    float[] uncontrolled =
        WriteTrainedModels.image(
                out.resolve("controlnet/model"), List.of(), "a photo of a small cat")
            .data();
    assertThat(distance(uncontrolled, before)).isLessThan(1e-5);
    assertThat(distance(image("controlnet"), before)).isGreaterThan(0.005);
    assertThat(distance(image("lora"), image("lora-alpha"))).isGreaterThan(0.001);
    float[] untrained =
        WriteTrainedModels.image(Fixture.MODELS.resolve("tiny-ddpm"), List.of(), "").data();
    assertThat(distance(image("unconditional"), untrained)).isGreaterThan(0.005);
    float[] otherWord =
        WriteTrainedModels.image(out.resolve("inversion/model"), List.of(), "a photo of a cat")
            .data();
    assertThat(distance(image("inversion"), otherWord)).isGreaterThan(0.005);
    try (TensorStore lora =
        Safetensors.open(out.resolve("lora/pytorch_lora_weights.safetensors"))) {
      assertThat(lora.names())
          .allMatch(name -> name.matches("(unet|text_encoder)\\..*\\.lora_[AB]\\.weight"));
    }
  }

  private float[] image(String name) {
    try (TensorStore image = Safetensors.open(out.resolve(name).resolve("image.safetensors"))) {
      return image.floats("image");
    }
  }

  private static double distance(float[] a, float[] b) {
    double greatest = 0;
    for (int i = 0; i < a.length; i++) {
      greatest = Math.max(greatest, Math.abs(a[i] - b[i]));
    }
    return greatest;
  }
}
