/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.util.RawValue;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A ControlNet in training, beside a UNet and a text encoder that do not learn. */
class ControlNetTrainingTest {
  private static final ModelFolder MODEL = ModelFolder.open(Fixture.MODELS.resolve("tiny-sd1"));
  private static final List<Integer> EMBEDDING = List.of(16, 32, 96, 256);
  private static final int TOKENS = 77;

  @TempDir private Path temp;

  private static ClipText text() {
    return new ClipText(ClipTextConfig.from(MODEL.component(Denoiser.TEXT_ENCODER).config()));
  }

  private static DiffusionObjective objective() {
    return new DiffusionObjective(
        Denoiser.ofControl(text(), new ControlNetFolder(MODEL, EMBEDDING).networks(), TOKENS),
        4,
        PredictionTarget.V);
  }

  private static HostTensor[] inputs(
      Fixture fixture, DiffusionObjective objective, HostTensor... conditions) {
    return new DiffusionInputs(objective, TrainingArithmeticTest.levels("scaled_linear"))
        .at(
            fixture.levels(),
            fixture.tensor("control/clean"),
            fixture.tensor("control/noise"),
            conditions);
  }

  /** As {@code waves} of make_training_fixtures.py. */
  private static float[] waves(long... shape) {
    float[] values = new float[Math.toIntExact(Arrays.stream(shape).reduce(1, (a, b) -> a * b))];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (0.1 * Math.sin(i));
    }
    return values;
  }

  private static HostTensor.Floats image() {
    float[] values = waves(2, 3, 64, 64);
    for (int i = 0; i < values.length; i++) {
      values[i] = 0.5f + 5 * values[i];
    }
    return new HostTensor.Floats(values, 2, 3, 64, 64);
  }

  /** As {@code control_net} of make_training_fixtures.py. */
  private static void write(
      TensorStore unet, TensorStore text, String name, long[] shape, OutputStream out)
      throws IOException {
    String stored = name.substring(name.indexOf('.') + 1);
    if (!ControlNetWeights.isControlNet(name)) {
      (name.startsWith(Denoiser.UNET) ? unet : text).writeTo(stored, DType.F32, out);
      return;
    }
    float[] values = waves(shape);
    if (unet.contains(stored) && Arrays.equals(unet.info(stored).shape(), shape)) {
      float[] known = unet.floats(stored);
      for (int i = 0; i < values.length; i++) {
        values[i] = known[i] * 1.05f;
      }
    }
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    out.write(bytes.array());
  }

  @Test
  void gradientsThroughTheUNetAreTorchs() {
    DiffusionObjective objective = objective();
    try (Fixture fixture = new Fixture("control.safetensors");
        TensorStore unet = MODEL.component(Denoiser.UNET).open();
        TensorStore text = MODEL.component(Denoiser.TEXT_ENCODER).open()) {
      ParameterSource source = (name, shape, out) -> write(unet, text, name, shape, out);
      try (TrainableNetwork network =
          GradientParityTest.train(objective.graph(), source, ControlNetWeights::isControlNet)) {
        GradientParityTest.compare(
            fixture, "control", network, inputs(fixture, objective, fixture.longs("ids"), image()));
      }
    }
  }

  @Test
  void aTrainingBeginsByChangingNothing() {
    DiffusionObjective plain =
        new DiffusionObjective(
            Denoiser.ofText(
                text(),
                new UNet2DCondition(
                    UNet2DConditionConfig.from(MODEL.component(Denoiser.UNET).config())),
                TOKENS),
            4,
            PredictionTarget.V);
    try (Fixture fixture = new Fixture("control.safetensors");
        TensorStore unet = MODEL.component(Denoiser.UNET).open();
        TensorStore text = MODEL.component(Denoiser.TEXT_ENCODER).open()) {
      ControlNetWeights weights = new ControlNetWeights(unet, text, 1);
      float expected;
      try (TrainableNetwork network =
          GradientParityTest.train(plain.graph(), weights, name -> true)) {
        expected = network.accumulate(1, inputs(fixture, plain, fixture.longs("ids")));
      }
      DiffusionObjective objective = objective();
      try (TrainableNetwork network =
          GradientParityTest.train(objective.graph(), weights, ControlNetWeights::isControlNet)) {
        float loss =
            network.accumulate(1, inputs(fixture, objective, fixture.longs("ids"), image()));
        assertThat(loss).isEqualTo(expected);
        assertThat(network.gradientNorm()).isPositive();
      }
    }
  }

  @Test
  void anEmbeddingThatDoesNotFitTheAutoencoderIsRefused() {
    assertThatThrownBy(() -> new ControlNetFolder(MODEL, List.of(8, 16)))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining("conditioning_embedding_out_channels")
        .hasMessageContaining("4 numbers");
  }

  @ParameterizedTest
  @CsvSource({
    "unet/config.json, time_cond_proj_dim, 16",
    "unet/config.json, resnet_out_scale_factor, 2.0",
    "unet/config.json, in_channels, 9",
    "unet/config.json, layers_per_block, '[1, 1, 1, 1]'",
    "unet/config.json, class_embed_type, '\"timestep\"'",
    "model_index.json, _class_name, '\"StableDiffusionControlNetPipeline\"'"
  })
  void aModelThatAControlNetIsNotTrainedForIsRefused(String file, String key, String value) {
    Path folder = temp.resolve("model");
    new TrainedFolder(MODEL, folder)
        .edited(file, config -> config.putRawValue(key, new RawValue(value)))
        .write(List.of(), Map.of(), DType.F32);
    ModelFolder changed = ModelFolder.open(folder);
    assertThatThrownBy(() -> new ControlNetFolder(changed, EMBEDDING))
        .isInstanceOf(IllegalConfigException.class)
        .hasMessageContaining(key);
  }

  @Test
  void whatTheModelKnowsGoesWithTheControlNet() throws IOException {
    Path folder = temp.resolve("base");
    new TrainedFolder(MODEL, folder).write(List.of(), Map.of(), DType.F32);
    for (String about : List.of("vocabulary.json", "domain.json")) {
      Files.writeString(folder.resolve(about), "{\"of\": \"" + about + "\"}");
    }
    Path out = temp.resolve("out");
    new ControlNetFolder(ModelFolder.open(folder), EMBEDDING).write(out, List.of());
    assertThat(ModelFolder.open(out).pipelineClass())
        .isEqualTo("StableDiffusionControlNetPipeline");
    for (String about : List.of("vocabulary.json", "domain.json")) {
      assertThat(out.resolve(about)).hasSameTextualContentAs(folder.resolve(about));
    }
  }
}
