/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a single file says of its training counts more than what its tensors suggest. */
class SingleFileMarksTest {
  private static final String UNET = "model.diffusion_model.";
  private static final String SPEC = "modelspec.prediction_type";

  @TempDir private Path temp;

  private static HeapTensors.Builder version1() {
    return HeapTensors.builder()
        .add(UNET + "input_blocks.0.0.weight", new float[4 * 9], 1, 4, 3, 3);
  }

  private static HeapTensors.Builder version2() {
    return version1()
        .add(
            UNET + "input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight",
            new float[1024],
            1,
            1024);
  }

  private static HeapTensors.Builder xl() {
    return version1()
        .add(
            "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias",
            new float[1],
            1);
  }

  private ModelComponent scheduler(HeapTensors.Builder tensors, Map<String, String> metadata) {
    Path file = temp.resolve("model.safetensors");
    SafetensorsWriter.write(file, tensors.build(), metadata);
    return ModelFolder.open(file).component("scheduler");
  }

  @Test
  void aMarkSaysThatTheModelPredictsVelocities() {
    Config config = scheduler(xl().add("v_pred", new float[0], 0), Map.of()).config();
    assertThat(config.string("prediction_type")).isEqualTo("v_prediction");
    assertThat(config.flag("rescale_betas_zero_snr", false)).isFalse();
  }

  @Test
  void anotherMarkSaysThatTheScheduleEndsInNoiseAlone() {
    ModelComponent scheduler =
        scheduler(xl().add("v_pred", new float[0], 0).add("ztsnr", new float[0], 0), Map.of());
    assertThat(scheduler.className()).isEqualTo("EulerDiscreteScheduler");
    assertThat(scheduler.config().string("prediction_type")).isEqualTo("v_prediction");
    assertThat(scheduler.config().flag("rescale_betas_zero_snr", false)).isTrue();
  }

  /** Stable Diffusion 1.x's own is PNDM, which does not know such a schedule. */
  @Test
  void aSchedulerThatCanNotDoItGivesWayToDdim() {
    ModelComponent scheduler = scheduler(version1().add("ztsnr", new float[0], 0), Map.of());
    assertThat(scheduler.className()).isEqualTo("DDIMScheduler");
    assertThat(scheduler.config().string("_class_name")).isEqualTo("DDIMScheduler");
    assertThat(scheduler.config().flag("rescale_betas_zero_snr", false)).isTrue();
    assertThat(scheduler.config().flag("clip_sample", true)).isFalse();
  }

  @ParameterizedTest
  @CsvSource({"v, v_prediction", "v_prediction, v_prediction", "epsilon, epsilon"})
  void metadataSayItToo(String said, String expected) {
    for (HeapTensors.Builder tensors : new HeapTensors.Builder[] {version1(), version2(), xl()}) {
      assertThat(scheduler(tensors, Map.of(SPEC, said)).config().string("prediction_type"))
          .isEqualTo(expected);
    }
  }

  @Test
  void withoutMarksItIsWhatTheTensorsSuggest() {
    assertThat(scheduler(version2(), Map.of("format", "pt")).config().string("prediction_type"))
        .isEqualTo("v_prediction");
    assertThat(scheduler(xl(), Map.of()).config().string("prediction_type")).isEqualTo("epsilon");
    assertThat(scheduler(version1(), Map.of()).className()).isEqualTo("PNDMScheduler");
  }

  @Test
  void whatIsNotKnownOrContradictsIsRefused() {
    assertThatThrownBy(() -> scheduler(xl(), Map.of(SPEC, "flow")))
        .isInstanceOf(WeightsException.class)
        .hasMessageContainingAll(SPEC, "'flow'", "epsilon, v, v_prediction");
    assertThatThrownBy(
            () -> scheduler(xl().add("v_pred", new float[0], 0), Map.of(SPEC, "epsilon")))
        .isInstanceOf(WeightsException.class)
        .hasMessageContainingAll("v_pred", SPEC, "'epsilon'");
  }
}
