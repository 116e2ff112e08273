/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class SafetensorsTest {
  @TempDir Path folder;

  private Path file(String header, int dataBytes) throws IOException {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes =
        ByteBuffer.allocate(8 + json.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(json.length).put(json);
    return Files.write(folder.resolve("weights.safetensors"), bytes.array());
  }

  static Stream<Arguments> malformedHeaders() {
    return Stream.of(
        Arguments.of("not JSON", "hello world", "not valid JSON"),
        Arguments.of("cut JSON", "{\"w\":{\"dtype\":\"F32\"", "not valid JSON"),
        Arguments.of("not an object", "[1, 2, 3]", "not a JSON object"),
        Arguments.of("two values", "{} {}", "not valid JSON"),
        Arguments.of(
            "same name twice",
            "{\"w\":"
                + tensor("F32", "[1]", "[0,4]")
                + ",\"w\":"
                + tensor("F32", "[1]", "[4,8]")
                + "}",
            "Duplicate"),
        Arguments.of(
            "NaN as an offset",
            "{\"w\":" + tensor("F32", "[2]", "[0,NaN]") + "}",
            "not valid JSON"),
        Arguments.of(
            "unknown dtype",
            "{\"w\":" + tensor("F4", "[8]", "[0,8]") + "}",
            "'w' has dtype \"F4\"; supported are [I64"),
        Arguments.of(
            "dtype in lower case",
            "{\"w\":" + tensor("f32", "[2]", "[0,8]") + "}",
            "'w' has dtype \"f32\""),
        Arguments.of(
            "no dtype", "{\"w\":{\"shape\":[2],\"data_offsets\":[0,8]}}", "'w' has dtype none"),
        Arguments.of("not a tensor", "{\"w\":7}", "'w' has dtype none"),
        Arguments.of(
            "no shape",
            "{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}",
            "'w' has no list 'shape'"),
        Arguments.of(
            "no offsets",
            "{\"w\":{\"dtype\":\"F32\",\"shape\":[2]}}",
            "'w' has no list 'data_offsets'"),
        Arguments.of(
            "negative dimension",
            "{\"w\":" + tensor("F32", "[-2]", "[0,8]") + "}",
            "'w' has shape [-2]"),
        Arguments.of(
            "fractional dimension",
            "{\"w\":" + tensor("F32", "[2.5]", "[0,8]") + "}",
            "'w' has shape [2.5]"),
        Arguments.of(
            "dimension beyond 2^63",
            "{\"w\":" + tensor("F32", "[99999999999999999999]", "[0,8]") + "}",
            "'w' has shape [99999999999999999999]"),
        Arguments.of(
            "overflowing shape",
            "{\"w\":" + tensor("F32", "[4611686018427387904,4]", "[0,8]") + "}",
            "takes more than 2^63 bytes"),
        Arguments.of(
            "overflow to exactly the right size",
            "{\"w\":" + tensor("U8", "[8,2305843009213693953]", "[0,8]") + "}",
            "takes more than 2^63 bytes"),
        Arguments.of(
            "shape larger than its data",
            "{\"w\":" + tensor("F32", "[3]", "[0,8]") + "}",
            "takes 12 bytes, not 8"),
        Arguments.of(
            "offset beyond the file",
            "{\"w\":" + tensor("F32", "[4]", "[0,16]") + "}",
            "within the 8 bytes of data"),
        Arguments.of(
            "negative offset",
            "{\"w\":" + tensor("F32", "[4]", "[-8,8]") + "}",
            "data_offsets [-8,8]"),
        Arguments.of(
            "offsets backwards",
            "{\"w\":" + tensor("F32", "[2]", "[8,0]") + "}",
            "data_offsets [8, 0]"),
        Arguments.of(
            "three offsets",
            "{\"w\":" + tensor("F32", "[2]", "[0,8,8]") + "}",
            "data_offsets [0, 8, 8]"),
        Arguments.of(
            "overlap",
            "{\"a\":"
                + tensor("F32", "[2]", "[0,8]")
                + ",\"b\":"
                + tensor("F32", "[1]", "[4,8]")
                + "}",
            "'b' begins at data byte 4, but the one before it ends at 8; there may be no overlap"),
        Arguments.of(
            "hole",
            "{\"a\":"
                + tensor("U8", "[2]", "[0,2]")
                + ",\"b\":"
                + tensor("F32", "[1]", "[4,8]")
                + "}",
            "'b' begins at data byte 4, but the one before it ends at 2; there may be no hole"),
        Arguments.of(
            "hole at the start",
            "{\"a\":" + tensor("F32", "[1]", "[4,8]") + "}",
            "there may be no hole"),
        Arguments.of(
            "data that no tensor names",
            "{\"a\":" + tensor("F32", "[1]", "[0,4]") + "}",
            "8 bytes of data, but its tensors end at 4"),
        Arguments.of(
            "metadata that is a list",
            "{\"__metadata__\":[]}",
            "__metadata__ that is not an object"),
        Arguments.of(
            "metadata with a number",
            "{\"__metadata__\":{\"a\":1}}",
            "__metadata__ whose 'a' is not a string"));
  }

  private static String tensor(String dtype, String shape, String offsets) {
    return "{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":%s}".formatted(dtype, shape, offsets);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("malformedHeaders")
  void refusesMalformedHeaders(String what, String header, String message) throws IOException {
    Path file = file(header, 8);
    assertThatThrownBy(() -> Safetensors.open(file))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining(file.toString())
        .hasMessageContaining(message);
  }

  @ParameterizedTest
  @MethodSource("lyingLengths")
  void refusesAHeaderLengthThatIsNotSo(long length, String message) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(64).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
    Path file = Files.write(folder.resolve("lying.safetensors"), bytes.array());
    assertThatThrownBy(() -> Safetensors.open(file))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining(file.toString())
        .hasMessageContaining(message);
  }

  static Stream<Arguments> lyingLengths() {
    return Stream.of(
        Arguments.of(0L, "0 bytes long"),
        Arguments.of(57L, "57 bytes long, but the file has 64"),
        Arguments.of(Safetensors.MAX_HEADER_BYTES, "the file has 64"),
        Arguments.of(Safetensors.MAX_HEADER_BYTES + 1, "not a safetensors file"),
        Arguments.of(Long.MAX_VALUE, "not a safetensors file"),
        Arguments.of(-1L, "18446744073709551615 bytes long"));
  }

  @Test
  void refusesEveryTruncationOfAValidFile() throws IOException {
    Path whole = folder.resolve("whole.safetensors");
    SafetensorsWriter.write(
        whole, HeapTensors.builder().add("w", new float[] {1, 2, 3}, 3).build());
    byte[] bytes = Files.readAllBytes(whole);
    for (int length = 0; length < bytes.length; length++) {
      Path cut =
          Files.write(folder.resolve("cut.safetensors"), java.util.Arrays.copyOf(bytes, length));
      assertThatThrownBy(() -> Safetensors.open(cut))
          .as("cut to %d bytes", length)
          .isInstanceOf(WeightsException.class)
          .hasMessageContaining("cut.safetensors");
    }
  }

  @Test
  void namesAMissingFile() {
    assertThatThrownBy(() -> Safetensors.open(folder.resolve("none.safetensors")))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("none.safetensors");
  }

  @Test
  void readsTensorsBeyondTwoGibibytes() throws IOException {
    // A sparse file: 5 GiB long, a few blocks on disk.
    long padding = (5L << 30) - 3;
    String header =
        "{\"padding\":%s,\"w\":%s}"
            .formatted(
                tensor("U8", "[" + padding + "]", "[0," + padding + "]"),
                tensor("F32", "[2]", "[" + padding + "," + (padding + 8) + "]"));
    Path file = file(header, 0);
    try (FileChannel out = FileChannel.open(file, StandardOpenOption.WRITE)) {
      ByteBuffer floats =
          ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putFloat(1.5f).putFloat(-2f);
      out.write(floats.flip(), Files.size(file) + padding);
    }
    try (Safetensors store = Safetensors.open(file)) {
      assertThat(store.floats("w")).containsExactly(1.5f, -2f);
      assertThat(store.data("padding").stream().mapToLong(ByteBuffer::remaining).sum())
          .isEqualTo(padding);
      assertThatThrownBy(() -> store.longs("padding"))
          .isInstanceOf(WeightsException.class)
          .hasMessageContaining("more elements than one array holds");
    }
  }

  @Test
  void saysWhichTensorIsNotThere() throws IOException {
    Path file = file("{\"conv.weight\":" + tensor("F32", "[2]", "[0,8]") + "}", 8);
    try (Safetensors store = Safetensors.open(file)) {
      assertThat(store.contains("conv.bias")).isFalse();
      assertThatThrownBy(() -> store.floats("conv.bias"))
          .isInstanceOf(WeightsException.class)
          .hasMessageContaining(file.toString())
          .hasMessageContaining("no tensor 'conv.bias'; it holds 1 tensors, such as 'conv.weight'");
    }
  }

  @Test
  void refusesToReadAfterClose() throws IOException {
    Safetensors store = Safetensors.open(file("{\"w\":" + tensor("F32", "[2]", "[0,8]") + "}", 8));
    store.close();
    store.close();
    assertThatThrownBy(() -> store.floats("w"))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("is closed");
  }

  @Test
  void refusesTheWrongKindOfNumbers() throws IOException {
    HeapTensors store =
        HeapTensors.builder().add("ids", new long[] {1, 2}, 2).add("w", new float[] {1}, 1).build();
    assertThatThrownBy(() -> store.floats("ids"))
        .hasMessageContaining("'ids' is I64, not floating-point");
    assertThatThrownBy(() -> store.longs("w"))
        .hasMessageContaining("'w' is F32, not of whole numbers");
    assertThatThrownBy(() -> store.writeTo("ids", DType.F32, new ByteArrayOutputStream()))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("'ids' is I64 and cannot become F32");
  }

  @Test
  void refusesAFiniteValueThatWouldBecomeInfinite() {
    HeapTensors store =
        HeapTensors.builder()
            .add("w", new float[] {1, 70000}, 2)
            .add("mask", new float[] {Float.NEGATIVE_INFINITY, 65519}, 2)
            .add("top", new float[] {Float.MAX_VALUE}, 1)
            .add(
                TensorInfo.of("double", DType.F64, 1),
                ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putDouble(1e300).array())
            .build();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    assertThatThrownBy(() -> store.writeTo("w", DType.F16, out))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("'w' holds 70000.0, which F16 cannot hold");
    assertThatThrownBy(() -> store.writeTo("top", DType.BF16, out))
        .hasMessageContaining("BF16 cannot hold");
    assertThatThrownBy(() -> store.floats("double"))
        .hasMessageContaining("1.0E300, which F32 cannot hold");
    assertThat(TensorViews.withFloatsAs(store, DType.F16).floats("mask"))
        .containsExactly(Float.NEGATIVE_INFINITY, 65504);
  }

  @Test
  void convertsTensorsLargerThanAChunk() throws IOException {
    float[] values = new float[100_001];
    for (int i = 0; i < values.length; i++) {
      values[i] = i / 64f;
    }
    Path file = folder.resolve("long.safetensors");
    SafetensorsWriter.write(
        file,
        TensorViews.withFloatsAs(
            HeapTensors.builder().add("w", values, values.length).build(), DType.F64));
    try (Safetensors store = Safetensors.open(file)) {
      assertThat(store.info("w").dtype()).isEqualTo(DType.F64);
      assertThat(store.floats("w")).isEqualTo(values);
      ByteArrayOutputStream halves = new ByteArrayOutputStream();
      store.writeTo("w", DType.F16, halves);
      ByteBuffer read = ByteBuffer.wrap(halves.toByteArray()).order(ByteOrder.LITTLE_ENDIAN);
      for (float value : values) {
        assertThat(read.getShort()).isEqualTo(HalfPrecision.floatToF16(value));
      }
    }
  }

  @Test
  void writesTheSameBytesInWhateverOrderTensorsCome() throws IOException {
    HeapTensors one =
        HeapTensors.builder()
            .add("b", new float[] {1}, 1)
            .add("a", new long[] {2}, 1)
            .add("c", new float[] {3}, 1)
            .build();
    HeapTensors two =
        HeapTensors.builder()
            .add("c", new float[] {3}, 1)
            .add("b", new float[] {1}, 1)
            .add("a", new long[] {2}, 1)
            .build();
    SafetensorsWriter.write(folder.resolve("1"), one, Map.of("x", "1", "y", "2"));
    SafetensorsWriter.write(folder.resolve("2"), two, Map.of("y", "2", "x", "1"));
    assertThat(Files.readAllBytes(folder.resolve("1")))
        .isEqualTo(Files.readAllBytes(folder.resolve("2")));
    assertThat(Safetensors.open(folder.resolve("1")).names()).containsExactly("a", "b", "c");
  }

  @Test
  void leavesTheOldFileAndNoOtherWhenWritingFails() throws IOException {
    Path file = folder.resolve("model.safetensors");
    SafetensorsWriter.write(file, HeapTensors.builder().add("w", new float[] {1}, 1).build());
    byte[] before = Files.readAllBytes(file);
    TensorStore failing =
        TensorViews.withFloatsAs(
            HeapTensors.builder().add("w", new float[] {1e30f}, 1).build(), DType.F16);
    assertThatThrownBy(() -> SafetensorsWriter.write(file, failing))
        .isInstanceOf(WeightsException.class);
    assertThat(Files.readAllBytes(file)).isEqualTo(before);
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).containsExactly(file);
    }
  }

  @Test
  void refusesTensorsThatAreNotWhatTheySay() {
    var builder = HeapTensors.builder().add("w", new float[] {1}, 1);
    assertThatThrownBy(() -> builder.add("w", new float[] {1}, 1))
        .hasMessageContaining("'w' was added twice");
    assertThatThrownBy(() -> builder.add("v", new float[] {1}, 2))
        .hasMessageContaining("does not have 1 elements");
    assertThatThrownBy(() -> builder.add(TensorInfo.of("u", DType.F16, 2), new byte[3]))
        .hasMessageContaining("takes 4 bytes, but 3 were given");
    assertThatThrownBy(() -> new TensorInfo("w", DType.F32, new long[] {2}, 9))
        .hasMessageContaining("takes 8 bytes, not 9");
    assertThatThrownBy(() -> TensorInfo.of("w", DType.F32, 2, -1))
        .hasMessageContaining("negative dimension");
    assertThat(TensorInfo.of("w", DType.F32, Long.MAX_VALUE, 0, Long.MAX_VALUE).byteLength())
        .isZero();
  }
}
