package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.LoadedNetwork;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.torchscript.ArchiveWriter;
import io.github.flinkdiffusion.ops.torchscript.Arithmetic;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.TensorInfo;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Arrays;

/** Brings a graph and its weights together on a device. */
final class NetworkLoader {
  private final DeviceSpec device;
  private final Precision storage;
  private final ArchiveCache archives;

  /** A loader that keeps no archives. */
  NetworkLoader(DeviceSpec device, Precision storage) {
    this(device, storage, ArchiveCache.none());
  }

  /**
   * @param device where networks go
   * @param storage precision of their weights there
   * @param archives where they are written on the way
   */
  NetworkLoader(DeviceSpec device, Precision storage, ArchiveCache archives) {
    this.device = device;
    this.storage = storage;
    this.archives = archives;
  }

  /**
   * Loads a network, writing its archive if it is not there.
   *
   * @param name of the network, for its file and for messages
   * @throws WeightsException for a parameter that is missing, has another shape than the config
   *     asks for, or holds a NaN or an infinity; or if a file can not be read to its end
   */
  LoadedNetwork load(String name, Graph graph, TensorStore weights) {
    checkParameters(graph, weights);
    ArchiveWriter writer =
        new ArchiveWriter(graph, storage, Arithmetic.AS_STORED, device.convolutions(storage));
    return archives.with(
        name,
        writer,
        weights::digest,
        new StoredWeights(weights, dtype(storage)),
        archive -> LoadedNetwork.load(archive, device));
  }

  /** Before anything is written: a wrong folder is told at once, not after gigabytes. */
  private static void checkParameters(Graph graph, TensorStore weights) {
    graph
        .parameterShapes()
        .forEach(
            (name, shape) -> {
              TensorInfo info = weights.info(name);
              if (!Arrays.equals(info.shape(), shape)) {
                throw new WeightsException(
                    "Weights %s: tensor %s has shape %s where the config asks for %s"
                        .formatted(
                            weights.source(),
                            name,
                            Arrays.toString(info.shape()),
                            Arrays.toString(shape)));
              }
              if (!info.dtype().isFloating()) {
                throw new WeightsException(
                    "Weights %s: tensor %s is %s where floating-point numbers are needed"
                        .formatted(weights.source(), name, info.dtype()));
              }
            });
  }

  private static DType dtype(Precision storage) {
    return switch (storage) {
      case FLOAT32 -> DType.F32;
      case FLOAT16 -> DType.F16;
      case BFLOAT16 -> DType.BF16;
    };
  }

  /** A model's tensors in the archive's type. */
  private static final class StoredWeights implements ParameterSource {
    private final TensorStore store;
    private final DType dtype;

    StoredWeights(TensorStore store, DType dtype) {
      this.store = store;
      this.dtype = dtype;
    }

    @Override
    public void write(String name, long[] shape, OutputStream out) throws IOException {
      try {
        store.writeFiniteTo(name, dtype, out);
      } catch (InternalError e) {
        // So the virtual machine says that a mapped page could not be read. Flink would take it for
        // the end of the process.
        throw new WeightsException(
            "Weights %s: tensor %s could not be read: the file became shorter while it was loaded, or its disk failed"
                .formatted(store.source(), name),
            e);
      }
    }
  }
}
