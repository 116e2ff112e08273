/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.offset;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.torchscript.Convolutions;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Products are the same convolutions, on both sides of the size from which they are not used, and
 * so are those of tensors whose channels are last.
 */
class SmallConvolutionsTest {
  private static final int IN = 8;
  private static final int WIDE = 1024;
  private static final int OUT = 352;

  @TempDir private Path folder;

  /**
   * A small convolution, and large ones: of stride 2, without bias, and of stride 1.
   *
   * @param linears as many linear layers behind them; with more than convolutions, channels are not
   *     kept last
   */
  private static Graph graph(int linears) {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value x = forward.input("x", 4);
    x = forward.conv2d(x, graph.parameter("a.weight", WIDE, IN, 1, 1), null, 1, 0);
    Value half =
        forward.conv2d(
            x, graph.parameter("b.weight", OUT, WIDE, 3, 3), graph.parameter("b.bias", OUT), 2, 1);
    Value unbiased = forward.conv2d(x, graph.parameter("d.weight", OUT, WIDE, 3, 3), null, 1, 1);
    Value whole =
        forward.conv2d(
            x, graph.parameter("c.weight", OUT, WIDE, 3, 3), graph.parameter("c.bias", OUT), 1, 1);
    Value sum = forward.add(forward.upsampleNearestAs(half, whole), forward.add(whole, unbiased));
    for (int i = 0; i < linears; i++) {
      Value pixels = forward.permute(sum, 0, 2, 3, 1);
      Value weight = graph.parameter("l" + i + ".weight", OUT, OUT);
      sum = forward.permute(forward.linear(pixels, weight, null), 0, 3, 1, 2);
    }
    forward.returns(sum);
    return graph;
  }

  private static void weights(String name, long[] shape, OutputStream out) throws IOException {
    int elements = 1;
    for (long size : shape) {
      elements *= (int) size;
    }
    ByteBuffer bytes = ByteBuffer.allocate(elements * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    double scale = Math.sqrt((double) shape[0] / elements);
    for (int i = 0; i < elements; i++) {
      bytes.putFloat((float) (scale * Math.sin(name.hashCode() + 1.7 * i)));
    }
    out.write(bytes.array());
  }

  private TorchNetwork load(Convolutions convolutions, int linears) throws IOException {
    ArchiveWriter writer =
        new ArchiveWriter(graph(linears), Precision.FLOAT32, Arithmetic.AS_STORED, convolutions);
    Path archive = folder.resolve(convolutions + ".pt");
    writer.write(archive, SmallConvolutionsTest::weights);
    return TorchNetwork.load(archive, DeviceSpec.CPU);
  }

  private static HostTensor.Floats picture(int rows, int height, int width) {
    float[] data = new float[rows * IN * height * width];
    for (int i = 0; i < data.length; i++) {
      data[i] = (float) Math.cos(0.3 * i);
    }
    return new HostTensor.Floats(data, rows, IN, height, width);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 5})
  void theResultsAreTheSame(int linears) throws IOException {
    try (TorchNetwork library = load(Convolutions.LIBRARY, linears);
        TorchNetwork products = load(Convolutions.FOR_X86_FLOAT32, linears)) {
      for (HostTensor.Floats picture :
          new HostTensor.Floats[] {
            picture(1, 4, 4),
            picture(3, 5, 7),
            picture(1, 16, 8),
            picture(1, 11, 13),
            picture(1, 4, 4)
          }) {
        HostTensor.Floats expected = library.call("forward", picture);
        HostTensor.Floats actual = products.call("forward", picture);

        assertThat(actual.shape()).isEqualTo(expected.shape());
        assertThat(actual.data()).containsExactly(expected.data(), offset(1e-4f));
      }
    }
  }

  @Test
  void channelsAreLastWhereMostLayersAreConvolutions() {
    assertThat(source(0)).contains("memory_format=2");
    assertThat(source(5)).doesNotContain("memory_format=2");
  }

  private static String source(int linears) {
    return new ArchiveWriter(
            graph(linears), Precision.FLOAT32, Arithmetic.AS_STORED, Convolutions.FOR_X86_FLOAT32)
        .source();
  }

  @Test
  void onlyFloat32OnTheProcessorHasProducts() {
    assertThat(TorchEngine.convolutions(DeviceSpec.CPU, Precision.FLOAT16))
        .isEqualTo(Convolutions.LIBRARY);
    assertThat(TorchEngine.convolutions(DeviceSpec.CPU, Precision.BFLOAT16))
        .isEqualTo(Convolutions.LIBRARY);
    assertThat(TorchEngine.convolutions(new DeviceSpec(0), Precision.FLOAT32))
        .isEqualTo(Convolutions.LIBRARY);
  }
}
