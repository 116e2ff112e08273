package io.github.flinkdiffusion.ops.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.offset;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.torchscript.Arithmetic;
import io.github.flinkdiffusion.ops.torchscript.ConvolutionWeights;
import io.github.flinkdiffusion.ops.torchscript.Graph;
import io.github.flinkdiffusion.ops.torchscript.Method;
import io.github.flinkdiffusion.ops.torchscript.StorageType;
import io.github.flinkdiffusion.ops.torchscript.Value;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Packed weights are the same weights, whatever the shapes of the calls. */
class PackedConvolutionsTest {
  private static final int IN = 8;
  private static final int WIDE = 512;
  private static final int OUT = 256;

  @TempDir private Path folder;

  /** A small convolution, a large one of stride 2 without bias, a large one of 3 x 3. */
  private static Graph graph() {
    Graph graph = new Graph();
    Method forward = graph.method("forward");
    Value x = forward.input("x");
    x = forward.conv2d(x, graph.parameter("a.weight", WIDE, IN, 1, 1), null, 1, 0);
    Value half = forward.conv2d(x, graph.parameter("b.weight", OUT, WIDE, 3, 3), null, 2, 1);
    Value whole =
        forward.conv2d(
            x, graph.parameter("c.weight", OUT, WIDE, 3, 3), graph.parameter("c.bias", OUT), 1, 1);
    forward.returns(forward.add(forward.upsampleNearestAs(half, whole), whole));
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

  private LoadedNetwork load(ConvolutionWeights convolutions) throws IOException {
    ArchiveWriter writer =
        new ArchiveWriter(graph(), StorageType.FLOAT32, Arithmetic.AS_STORED, convolutions);
    Path archive = folder.resolve(convolutions + ".pt");
    writer.write(archive, PackedConvolutionsTest::weights);
    LoadedNetwork network = LoadedNetwork.load(archive, DeviceSpec.CPU);
    assertThat(writer.preparation().isPresent())
        .isEqualTo(convolutions == ConvolutionWeights.PACKED);
    writer.preparation().ifPresent(network::call);
    return network;
  }

  private static HostTensor.Floats picture(int rows, int height, int width) {
    float[] data = new float[rows * IN * height * width];
    for (int i = 0; i < data.length; i++) {
      data[i] = (float) Math.cos(0.3 * i);
    }
    return new HostTensor.Floats(data, rows, IN, height, width);
  }

  @Test
  void packedConvolutionsComputeTheSame() throws IOException {
    assumeTrue(
        DeviceSpec.CPU.convolutionWeights(StorageType.FLOAT32) == ConvolutionWeights.PACKED,
        "this processor's library has no packed convolutions");
    try (LoadedNetwork stored = load(ConvolutionWeights.AS_STORED);
        LoadedNetwork packed = load(ConvolutionWeights.PACKED)) {
      for (HostTensor.Floats picture :
          new HostTensor.Floats[] {
            picture(1, 4, 4), picture(3, 5, 7), picture(2, 16, 8), picture(1, 4, 4)
          }) {
        HostTensor.Floats expected = stored.call("forward", picture);
        HostTensor.Floats actual = packed.call("forward", picture);

        assertThat(actual.shape()).isEqualTo(expected.shape());
        assertThat(actual.data()).containsExactly(expected.data(), offset(1e-4f));
      }
    }
  }

  @Test
  void onlyFloat32OnTheProcessorIsPacked() {
    assertThat(DeviceSpec.CPU.convolutionWeights(StorageType.FLOAT16))
        .isEqualTo(ConvolutionWeights.AS_STORED);
    assertThat(DeviceSpec.CPU.convolutionWeights(StorageType.BFLOAT16))
        .isEqualTo(ConvolutionWeights.AS_STORED);
    assertThat(new DeviceSpec(0).convolutionWeights(StorageType.FLOAT32))
        .isEqualTo(ConvolutionWeights.AS_STORED);
  }
}
