/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LoraTest {
  private static final String LAYER = "lora_unet_conv_in";

  @TempDir private Path temp;

  /** A UNet with conv_in [2, 3, 1, 1] and mid_block.proj [2, 2]. */
  private ModelFolder model() throws IOException {
    Path model = temp.resolve("model");
    Files.createDirectories(model.resolve("unet"));
    Files.writeString(
        model.resolve("model_index.json"),
        "{\"_class_name\": \"StableDiffusionPipeline\", \"unet\": [\"diffusers\", \"UNet2DConditionModel\"]}");
    Files.writeString(model.resolve("unet/config.json"), "{}");
    SafetensorsWriter.write(
        model.resolve("unet/diffusion_pytorch_model.safetensors"),
        HeapTensors.builder()
            .add("conv_in.weight", new float[] {1, 2, 3, 4, 5, 6}, 2, 3, 1, 1)
            .add("mid_block.proj.weight", new float[] {1, 0, 0, 1}, 2, 2)
            .build());
    return ModelFolder.open(model);
  }

  private Lora lora(double scale, HeapTensors.Builder tensors) {
    Path file = temp.resolve("lora.safetensors");
    SafetensorsWriter.write(file, tensors.build());
    return new Lora(file, scale);
  }

  private static HeapTensors.Builder convIn() {
    return HeapTensors.builder()
        .add(LAYER + ".lora_down.weight", new float[] {1, 10, 100}, 1, 3, 1, 1)
        .add(LAYER + ".lora_up.weight", new float[] {1, 2}, 2, 1, 1, 1);
  }

  @Test
  void addsTheProductTimesScaleAndAlphaOverRank() throws Exception {
    Lora lora = lora(0.5, convIn().add(LAYER + ".alpha", new float[] {4}));
    ModelFolder merged = model().withLoras(List.of(lora));

    try (TensorStore unet = merged.component("unet").open()) {
      assertThat(unet.info("conv_in.weight").shape()).containsExactly(2, 3, 1, 1);
      assertThat(unet.floats("conv_in.weight")).containsExactly(3, 22, 203, 8, 45, 406);
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      unet.writeTo("conv_in.weight", DType.F16, bytes);
      ByteBuffer halves = ByteBuffer.wrap(bytes.toByteArray()).order(ByteOrder.LITTLE_ENDIAN);
      assertThat(HalfPrecision.f16ToFloat(halves.getShort(10))).isEqualTo(406);
      assertThat(unet.floats("mid_block.proj.weight")).containsExactly(1, 0, 0, 1);
    }
  }

  @Test
  void withoutAlphaTheFactorIsTheScaleAlone() throws Exception {
    ModelFolder merged = model().withLoras(List.of(lora(-1, convIn())));
    try (TensorStore unet = merged.component("unet").open()) {
      assertThat(unet.floats("conv_in.weight")).containsExactly(0, -8, -97, 2, -15, -194);
    }
  }

  @Test
  void digestsKnowTheFileAndTheScale() throws Exception {
    ModelFolder model = model();
    Lora lora = lora(0.5, convIn());
    ModelFolder half = model.withLoras(List.of(lora));
    ModelFolder whole = model.withLoras(List.of(new Lora(lora.file(), 1)));
    ModelFolder twice = half.withLoras(List.of(lora));

    assertThat(List.of(model.digest(), half.digest(), whole.digest(), twice.digest()))
        .doesNotHaveDuplicates();
    assertThat(
            List.of(storeDigest(model), storeDigest(half), storeDigest(whole), storeDigest(twice)))
        .doesNotHaveDuplicates();
    assertThat(storeDigest(model.withLoras(List.of(lora)))).isEqualTo(storeDigest(half));
    assertThat(model.withLoras(List.of())).isSameAs(model);
  }

  private static String storeDigest(ModelFolder model) {
    try (TensorStore unet = model.component("unet").open()) {
      return unet.digest();
    }
  }

  @Test
  void layersThatTheModelDoesNotHaveAreLeftOut() throws Exception {
    Lora lora =
        lora(
            1,
            convIn()
                .add("lora_unet_nowhere.lora_down.weight", new float[2], 1, 2)
                .add("lora_unet_nowhere.lora_up.weight", new float[2], 2, 1)
                .add("lora_te_text_model_x.lora_down.weight", new float[2], 1, 2)
                .add("lora_te_text_model_x.lora_up.weight", new float[2], 2, 1));
    try (TensorStore unet = model().withLoras(List.of(lora)).component("unet").open()) {
      assertThat(unet.floats("conv_in.weight")).startsWith(2, 12, 103);
    }
  }

  @Test
  void magnitudesOfDoraAreTheLengthsOfTheRows() throws Exception {
    float[] magnitudes = {5, 13};
    Lora lora = lora(1, convIn().add(LAYER + ".dora_scale", magnitudes, 2, 1, 1, 1));
    try (TensorStore unet = model().withLoras(List.of(lora)).component("unet").open()) {
      float[] weight = unet.floats("conv_in.weight");
      int columns = weight.length / 2;
      for (int row = 0; row < 2; row++) {
        double squares = 0;
        for (int i = row * columns; i < (row + 1) * columns; i++) {
          squares += weight[i] * weight[i];
        }
        assertThat(Math.sqrt(squares)).isCloseTo(magnitudes[row], within(1e-5));
      }
      assertThat(weight[1] / weight[0]).as("the direction is the sum's").isEqualTo(6);
    }
    String scale = LAYER + ".dora_scale";
    refused(lora(1, convIn().add(scale, new float[2], 1, 2)), scale, "[1, 2]", "2 rows");
  }

  @Test
  void aLoraForAnotherKindOfModelIsRefused() {
    Lora lora =
        lora(
            1,
            HeapTensors.builder()
                .add("lora_unet_nowhere.lora_down.weight", new float[2], 1, 2)
                .add("lora_unet_nowhere.lora_up.weight", new float[2], 2, 1));
    refused(lora, "changes no layer", "lora_unet_nowhere.lora_down.weight");
  }

  @Test
  void whatIsNotSupportedIsNamed() {
    String core = LAYER + ".lora_mid.weight";
    refused(lora(1, convIn().add(core, new float[1], 1, 1, 1, 1)), core);
    String loha = LAYER + ".hada_w1_a";
    refused(lora(1, HeapTensors.builder().add(loha, new float[2], 2, 1)), loha);
    String bias = "unet.conv_in.lora_B.bias";
    refused(lora(1, HeapTensors.builder().add(bias, new float[2], 2)), bias);
    refused(
        lora(1, HeapTensors.builder().add("conv_in.weight", new float[1], 1)), "'conv_in.weight'");
  }

  @Test
  void aFactorThatIsMissingIsNamed() {
    refused(
        lora(1, HeapTensors.builder().add(LAYER + ".lora_down.weight", new float[3], 1, 3, 1, 1)),
        "conv_in",
        "lacks its up factor");
  }

  @Test
  void factorsThatDoNotMakeTheWeightAreRefused() {
    String[] factors = {LAYER + ".lora_down.weight", LAYER + ".lora_up.weight"};
    long[][][] shapes = {
      {{1, 4, 1, 1}, {2, 1, 1, 1}}, // too many inputs
      {{1, 3, 1, 1}, {3, 1, 1, 1}}, // too many outputs
      {{2, 3, 1, 1}, {2, 1, 1, 1}}, // ranks differ
      {{1, 3, 1, 1}, {2, 1, 3, 3}}, // the second is not pointwise
      {{0, 3, 1, 1}, {2, 0, 1, 1}}, // no rank
      {{3}, {2}}
    };
    for (long[][] shape : shapes) {
      HeapTensors.Builder tensors = HeapTensors.builder();
      for (int i = 0; i < 2; i++) {
        TensorInfo info = TensorInfo.of(factors[i], DType.F32, shape[i]);
        tensors.add(info, new byte[(int) info.byteLength()]);
      }
      refused(lora(1, tensors), factors[0], factors[1], "conv_in.weight", "[2, 3, 1, 1]");
    }
    refused(
        lora(1, convIn().add(LAYER + ".alpha", new float[] {Float.NaN})),
        LAYER + ".alpha",
        "one finite number");
  }

  @Test
  void pickledOnesAndScalesThatAreNoNumberAreRefused() {
    Path pickled = temp.resolve("style.pt");
    refused(new Lora(pickled, 1), "pickled", "save_file");
    assertThatThrownBy(() -> new Lora(pickled, Double.NaN))
        .isInstanceOf(WeightsException.class)
        .hasMessageContainingAll(pickled.toString(), "NaN");
  }

  private void refused(Lora lora, String... parts) {
    assertThatThrownBy(() -> model().withLoras(List.of(lora)))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining(lora.file().toString())
        .hasMessageContainingAll(parts);
  }
}
