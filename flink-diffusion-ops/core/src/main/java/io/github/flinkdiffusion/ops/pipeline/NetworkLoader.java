package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.TensorInfo;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;

/** Brings a graph and its weights together on a device. */
final class NetworkLoader {
  private final DeviceSpec device;
  private final Precision storage;
  private final Optional<Path> archives;

  /** A loader that keeps nothing. */
  NetworkLoader(DeviceSpec device, Precision storage) {
    this(device, storage, Optional.empty());
  }

  /**
   * @param device where networks go
   * @param storage precision of their weights there
   * @param archives where the engine keeps what it makes of them, if anywhere
   */
  NetworkLoader(DeviceSpec device, Precision storage, Optional<Path> archives) {
    this.device = device;
    this.storage = storage;
    this.archives = archives;
  }

  /**
   * Loads a network.
   *
   * @param name of the network, for files and messages
   * @throws WeightsException for a parameter that is missing, has another shape than the config
   *     asks for, or holds a NaN or an infinity; or if a file can not be read to its end
   */
  Network load(String name, Graph graph, TensorStore weights) {
    checkParameters(graph, storage, weights);
    ParameterSource stored = new StoredWeights(weights, graph, storage);
    return Engines.standard()
        .load(new Program(name, graph, storage, stored, weights::digest, archives), device);
  }

  /** Before anything is written: a wrong folder is told at once, not after gigabytes. */
  private static void checkParameters(Graph graph, Precision precision, TensorStore weights) {
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
              DType type = graph.type(name, precision);
              if (type.isFloating() ? !info.dtype().isFloating() : info.dtype() != type) {
                throw new WeightsException(
                    "Weights %s: tensor %s is %s where %s needed"
                        .formatted(
                            weights.source(),
                            name,
                            info.dtype(),
                            type.isFloating() ? "floating-point numbers are" : type + " is"));
              }
            });
  }

  /** A model's tensors in the types that the graph's parameters have. */
  private static final class StoredWeights implements ParameterSource {
    private final TensorStore store;
    private final Graph graph;
    private final Precision precision;

    StoredWeights(TensorStore store, Graph graph, Precision precision) {
      this.store = store;
      this.graph = graph;
      this.precision = precision;
    }

    @Override
    public Optional<TensorPlace> place(String name) {
      return store.place(name).filter(place -> place.dtype() == graph.type(name, precision));
    }

    @Override
    public void write(String name, long[] shape, OutputStream out) throws IOException {
      try {
        DType type = graph.type(name, precision);
        if (type.isFloating()) {
          store.writeFiniteTo(name, type, out);
        } else {
          store.writeTo(name, type, out);
        }
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
