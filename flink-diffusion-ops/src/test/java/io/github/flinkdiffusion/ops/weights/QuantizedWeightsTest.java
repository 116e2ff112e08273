/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Against what the Python packages gguf and torch make of the same bytes: {@code
 * src/test/python/make_quantized_fixtures.py}.
 */
class QuantizedWeightsTest {
  @TempDir Path folder;

  private static Path fixture(String name) {
    try {
      return Path.of(QuantizedWeightsTest.class.getResource("/fixtures/weights/" + name).toURI());
    } catch (URISyntaxException e) {
      throw new AssertionError(e);
    }
  }

  /** NaN is equal to NaN, and 0 not to -0. */
  private static void assertSame(TensorStore found, TensorStore expected, String name) {
    assertThat(found.info(name).shape()).as(name).isEqualTo(expected.info(name).shape());
    assertThat(found.floats(name)).as(name).isEqualTo(expected.floats(name));
  }

  @Test
  void everyGgufTypeIsDequantizedToTheBit() {
    try (Gguf file = Gguf.open(fixture("quantized.gguf"), new FileDigests());
        Safetensors expected = Safetensors.open(fixture("quantized.safetensors"))) {
      assertThat(file.names()).containsExactlyInAnyOrderElementsOf(expected.names());
      for (String name : expected.names()) {
        assertSame(file, expected, name);
        boolean plain = List.of("F32", "F16", "BF16").contains(name);
        assertThat(file.place(name).isPresent()).as(name).isEqualTo(plain);
        assertThat(file.info(name).dtype())
            .as(name)
            .isEqualTo(plain ? DType.valueOf(name) : DType.F32);
      }
      assertThat(file.text("general.architecture")).contains("flux");
    }
  }

  @Test
  void partsOfAQuantizedTensorAreThoseOfTheWhole() {
    // Segments that end within blocks.
    try (Gguf file = Gguf.open(fixture("quantized.gguf"), new FileDigests(), 1000)) {
      for (String name : file.names()) {
        float[] whole = file.floats(name);
        int bytes = file.info(name).dtype().bytes();
        int[][] ranges = {{0, 1}, {5, 0}, {7, 13}, {whole.length - 3, 3}};
        for (int[] range : ranges) {
          int read = 0;
          for (ByteBuffer part : file.data(name, range[0], range[1])) {
            read += part.remaining() / bytes;
            if (bytes == Float.BYTES) {
              assertThat(part.getFloat(0)).as(name).isEqualTo(whole[range[0]]);
            }
          }
          assertThat(read).as(name).isEqualTo(range[1]);
        }
      }
      try (Safetensors expected = Safetensors.open(fixture("quantized.safetensors"))) {
        file.names().forEach(name -> assertSame(file, expected, name));
      }
    }
  }

  @Test
  void aQuantizedTensorConvertsAsItsFloatsDo() throws IOException {
    try (Gguf file = Gguf.open(fixture("quantized.gguf"), new FileDigests());
        Safetensors expected = Safetensors.open(fixture("quantized.safetensors"))) {
      assertThat(written(file, "Q4_K", DType.BF16))
          .isEqualTo(written(expected, "Q4_K", DType.BF16));
      TensorStore view = TensorViews.withFloatsAs(file, DType.F16);
      assertThat(written(view, "Q8_0", DType.F16)).isEqualTo(written(expected, "Q8_0", DType.F16));
    }
  }

  private static byte[] written(TensorStore store, String name, DType dtype) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    store.writeTo(name, dtype, out);
    return out.toByteArray();
  }

  @ParameterizedTest
  @CsvSource({
    "16, IQ2_XXS", "17, IQ2_XS", "18, IQ3_XXS", "19, IQ1_S", "20, IQ4_NL", "21, IQ3_S", "22, IQ2_S",
    "23, IQ4_XS", "29, IQ1_M", "9, Q8_1", "34, TQ1_0", "35, TQ2_0", "39, MXFP4", "40, NVFP4",
    "77, number 77"
  })
  void otherTypesAreRefusedByName(int code, String name) throws IOException {
    Path file =
        new GgufBytes().tensor("x", code, 0, 256).data(1000).write(folder.resolve("a.gguf"));
    assertThatThrownBy(() -> Gguf.open(file, new FileDigests()))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("tensor 'x' has the type " + name)
        .hasMessageContaining("supported are F32, F16, Q4_0");
  }

  @Test
  void whatIsNoSuchFileIsRefusedWithTheReason() throws IOException {
    refuses("has version 1;", new GgufBytes().version(1));
    refuses("has version 4;", new GgufBytes().version(4));
    refuses("is big-endian", new GgufBytes().version(3 << 24));
    refuses("is one of 3 parts", new GgufBytes().number("split.count", 3));
    refuses("general.alignment = 3", new GgufBytes().number("general.alignment", 3));
    refuses("has metadata 'a' twice", new GgufBytes().number("a", 3).number("a", 3));
    refuses(
        "general.quantization_version = 1",
        new GgufBytes().number("general.quantization_version", 1).tensor("x", 8, 0, 32).data(34));
    refuses("rows are a multiple of 256", new GgufBytes().tensor("x", 12, 0, 128, 2).data(144));
    refuses("has 5 dimensions", new GgufBytes().tensor("x", 0, 0, 1, 1, 1, 1, 1).data(4));
    refuses("negative dimension", new GgufBytes().tensor("x", 0, 0, -1).data(4));
    refuses("more than 2^63 bytes", new GgufBytes().tensor("x", 0, 0, 1L << 40, 1L << 40).data(4));
    refuses("is the download complete?", new GgufBytes().tensor("x", 0, 0, 1 << 20).data(4));
    refuses("is the download complete?", new GgufBytes().tensor("x", 0, 0, 16).data(60));
    refuses("no hole", new GgufBytes().tensor("x", 0, 64, 1).data(68));
    refuses("no overlap", new GgufBytes().tensor("x", 0, 0, 16).tensor("y", 0, 32, 1).data(64));
    refuses(
        "has tensor 'x' twice",
        new GgufBytes().tensor("x", 0, 0, 8).tensor("x", 0, 32, 8).data(64));
    refuses("its tensors end at 4", new GgufBytes().tensor("x", 0, 0, 1).data(64));
    Path text = Files.writeString(folder.resolve("text.gguf"), "this is no such file, but a text");
    assertThatThrownBy(() -> Gguf.open(text, new FileDigests()))
        .hasMessageContaining("does not begin with 'GGUF'");
  }

  private void refuses(String reason, GgufBytes bytes) throws IOException {
    Path file = bytes.write(folder.resolve("refused.gguf"));
    assertThatThrownBy(() -> Gguf.open(file, new FileDigests()))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining(reason)
        .hasMessageContaining(file.toString());
  }

  @Test
  void everyTruncationOfAFileIsRefused() throws IOException {
    byte[] whole = Files.readAllBytes(fixture("quantized.gguf"));
    for (int length = 0; length < whole.length - 32; length += length < 300 ? 1 : 397) {
      Path file = folder.resolve("cut.gguf");
      Files.write(file, Arrays.copyOf(whole, length));
      assertThatThrownBy(() -> Gguf.open(file, new FileDigests()))
          .as("%d bytes", length)
          .isInstanceOf(WeightsException.class);
    }
  }

  @Test
  void all256CodesOfBothEightBitTypesAreAsInTorch() {
    try (Safetensors file = Safetensors.open(fixture("float8.safetensors"));
        Safetensors expected = Safetensors.open(fixture("float8-plain.safetensors"))) {
      assertThat(file.info("codes.e4m3").dtype()).isEqualTo(DType.F8_E4M3);
      assertThat(file.info("codes.e5m2").dtype()).isEqualTo(DType.F8_E5M2);
      assertThat(file.info("codes.e4m3").elements()).isEqualTo(256);
      assertSame(file, expected, "codes.e4m3");
      assertSame(file, expected, "codes.e5m2");
    }
  }

  @Test
  void weightsOfEightBitsAreMultipliedByTheirScales() {
    try (Safetensors expected = Safetensors.open(fixture("float8-plain.safetensors"));
        TensorStore scaled = ScaledTensors.of(Safetensors.open(fixture("float8.safetensors")))) {
      assertThat(scaled.names())
          .containsExactlyInAnyOrder(
              "codes.e4m3", "codes.e5m2", "old.weight", "old.bias", "new.weight", "half.weight");
      for (String name : expected.names()) {
        assertSame(scaled, expected, name);
        assertThat(scaled.info(name).dtype() == DType.F32).isEqualTo(name.endsWith(".weight"));
      }
      assertThatThrownBy(() -> scaled.info("old.scale_weight"))
          .isInstanceOf(WeightsException.class);
    }
  }

  @Test
  void anEightBitTypeIsReadOnly() {
    HeapTensors store = HeapTensors.builder().add("x", new float[] {1}, 1).build();
    assertThatThrownBy(() -> store.writeTo("x", DType.F8_E4M3, new ByteArrayOutputStream()))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("cannot become F8_E4M3");
  }

  @Test
  void otherQuantizationsAreRefusedByName() {
    TensorInfo weight = TensorInfo.of("a.weight", DType.F8_E4M3, 2, 2);
    refusesScales("there is a scale", Map.of("a.weight_scale", new float[] {1}), null);
    refusesScales("is the scale of", Map.of("a.weight_scale", new float[] {1, 2, 3}), weight);
    refusesScales("is the scale of", Map.of("a.scale_weight", new float[4]), weight);
    refusesScales("not supported", Map.of("a.weight_scale_inv", new float[] {1}), weight);
    refusesScales("not supported", Map.of("a.weight.absmax", new float[] {1}), weight);
    refusesScales(
        "has two scales",
        Map.of("a.weight_scale", new float[] {1}, "a.scale_weight", new float[] {1}),
        weight);
    byte[] mark = "{\"format\": \"nvfp4\"}".getBytes(StandardCharsets.UTF_8);
    HeapTensors other =
        HeapTensors.builder()
            .add(TensorInfo.of("a.comfy_quant", DType.U8, mark.length), mark)
            .build();
    assertThatThrownBy(() -> ScaledTensors.of(other))
        .hasMessageContaining("names the format 'nvfp4'");
  }

  private static void refusesScales(String reason, Map<String, float[]> scales, TensorInfo weight) {
    HeapTensors.Builder builder = HeapTensors.builder();
    if (weight != null) {
      builder.add(weight, new byte[4]);
    }
    scales.forEach((name, values) -> builder.add(name, values, values.length));
    assertThatThrownBy(() -> ScaledTensors.of(builder.build()))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining(reason);
  }
}
