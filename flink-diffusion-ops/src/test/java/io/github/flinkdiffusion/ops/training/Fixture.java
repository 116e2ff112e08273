/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.weights.Safetensors;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Set;

/** A file that {@code make_training_fixtures.py} made. */
final class Fixture implements AutoCloseable {
  static final Path FOLDER = Path.of("src/test/resources/fixtures/training");
  static final Path MODELS = Path.of("src/test/resources/fixtures/models");

  private final TensorStore tensors;

  Fixture(String name) {
    tensors = Safetensors.open(FOLDER.resolve(name));
  }

  Set<String> names() {
    return tensors.names();
  }

  HostTensor.Floats tensor(String name) {
    return new HostTensor.Floats(floats(name), tensors.info(name).shape());
  }

  float[] floats(String name) {
    return tensors.floats(name);
  }

  double[] doubles(String name) {
    ByteBuffer bytes = tensors.data(name).get(0).order(ByteOrder.LITTLE_ENDIAN);
    double[] values = new double[bytes.remaining() / Double.BYTES];
    bytes.asDoubleBuffer().get(values);
    return values;
  }

  HostTensor.Longs longs(String name) {
    ByteBuffer bytes = tensors.data(name).get(0).order(ByteOrder.LITTLE_ENDIAN);
    long[] values = new long[bytes.remaining() / Long.BYTES];
    bytes.asLongBuffer().get(values);
    return new HostTensor.Longs(values, tensors.info(name).shape());
  }

  int[] levels() {
    long[] levels = longs("levels").data();
    int[] rows = new int[levels.length];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = (int) levels[i];
    }
    return rows;
  }

  float scalar(String name) {
    return floats(name)[0];
  }

  /** Weights that the file has under a prefix. */
  ParameterSource weights(String prefix) {
    return (name, shape, out) -> {
      float[] values = floats(prefix + name);
      ByteBuffer bytes =
          ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      bytes.asFloatBuffer().put(values);
      out.write(bytes.array());
    };
  }

  /**
   * @param tolerance of a value up to 1, and relative above it
   */
  static void assertClose(float[] actual, float[] expected, double tolerance, String what) {
    assertThat(actual).as(what).hasSameSizeAs(expected);
    for (int i = 0; i < expected.length; i++) {
      assertThat((double) actual[i])
          .as("%s, element %d", what, i)
          .isCloseTo(expected[i], within(tolerance * Math.max(1, Math.abs(expected[i]))));
    }
  }

  @Override
  public void close() {
    tensors.close();
  }
}
