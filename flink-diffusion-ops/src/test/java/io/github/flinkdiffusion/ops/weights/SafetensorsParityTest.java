/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Against files that the Python library and torch wrote: {@code
 * src/test/python/make_safetensors_fixtures.py}.
 */
class SafetensorsParityTest {
  private static final float[] BASE = {-2.5f, 0, 1, 3.25f, 100, -0.125f};

  private static Path fixture(String name) {
    try {
      return Path.of(SafetensorsParityTest.class.getResource("/fixtures/weights/" + name).toURI());
    } catch (URISyntaxException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void readsEveryDtype() {
    try (Safetensors file = Safetensors.open(fixture("every-dtype.safetensors"))) {
      for (String name : new String[] {"f64", "f32", "f16", "bf16"}) {
        assertThat(file.floats(name)).as(name).containsExactly(BASE);
        assertThat(file.info(name).shape()).as(name).containsExactly(2, 3);
        assertThat(file.info(name).dtype().name()).isEqualToIgnoringCase(name);
      }
      assertThat(file.longs("i64")).containsExactly(-(1L << 62), 3);
      assertThat(file.longs("i32")).containsExactly(-7, 1 << 30);
      assertThat(file.longs("i16")).containsExactly(-300, 300);
      assertThat(file.longs("i8")).containsExactly(-128, 127);
      assertThat(file.longs("u8")).containsExactly(0, 255);
      assertThat(file.longs("bool")).containsExactly(1, 0, 1);
      assertThat(file.info("scalar").shape()).isEmpty();
      assertThat(file.floats("scalar")).containsExactly(0.5f);
      assertThat(file.info("empty")).isEqualTo(TensorInfo.of("empty", DType.F32, 0, 4));
      assertThat(file.floats("empty")).isEmpty();
      assertThat(file.floats("name with \"quotes\" and ü")).containsExactly(1);
      assertThat(file.metadata()).isEqualTo(Map.of("format", "pt", "note", "ü"));
    }
  }

  @Test
  void readsTheSameTensorsAcrossSegmentBoundaries() {
    Path path = fixture("every-dtype.safetensors");
    try (Safetensors whole = Safetensors.open(path)) {
      for (long segmentBytes = 1; segmentBytes < 40; segmentBytes++) {
        try (Safetensors pieces = Safetensors.open(path, segmentBytes)) {
          for (String name : whole.names()) {
            assertThat(bytes(pieces, name, whole.info(name).dtype()))
                .as("%s in segments of %d bytes", name, segmentBytes)
                .isEqualTo(bytes(whole, name, whole.info(name).dtype()));
            if (whole.info(name).dtype().isFloating()) {
              assertThat(pieces.floats(name)).isEqualTo(whole.floats(name));
            }
          }
        }
      }
    }
  }

  @Test
  void writesTheBytesThatPythonWrites(@TempDir Path folder) throws IOException {
    Path theirs = fixture("every-dtype.safetensors");
    Path ours = folder.resolve("ours.safetensors");
    try (Safetensors file = Safetensors.open(theirs)) {
      SafetensorsWriter.write(ours, file, file.metadata());
    }
    assertThat(Files.readAllBytes(ours)).isEqualTo(Files.readAllBytes(theirs));
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F16", "BF16"})
  void roundsAsTorchDoes(DType dtype) {
    try (Safetensors file = Safetensors.open(fixture("conversions.safetensors"))) {
      String name = dtype.name().toLowerCase(java.util.Locale.ROOT);
      assertThat(bytes(file, "f32", dtype)).isEqualTo(bytes(file, name, dtype));
    }
  }

  private static byte[] bytes(TensorStore store, String name, DType dtype) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try {
      store.writeTo(name, dtype, out);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return out.toByteArray();
  }
}
