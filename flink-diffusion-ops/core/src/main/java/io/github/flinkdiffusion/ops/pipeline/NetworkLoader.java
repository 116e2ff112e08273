/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.EngineException;
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
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import org.apache.flink.annotation.Internal;

/** Brings a graph and its weights together on a device. */
@Internal
public final class NetworkLoader {
  private final Function<Graph, Engine> engine;
  private final DeviceSpec device;
  private final Precision storage;
  private final Optional<Path> archives;
  private final Consumer<Runnable> later;

  /** A loader that keeps nothing. */
  public NetworkLoader(DeviceSpec device, Precision storage) {
    this(PipelineSettings.on(device).withPrecision(storage), Runnable::run);
  }

  NetworkLoader(PipelineSettings settings, Consumer<Runnable> later) {
    this(
        graph -> settings.engine(settings.precision(), graph),
        settings.device(),
        settings.precision(),
        settings.archives(),
        later);
  }

  /**
   * @param engine what runs a network
   * @param device where they go
   * @param storage precision of their weights there
   * @param archives where the engine keeps what it makes of them, if anywhere
   * @param later takes checks that read all of a network's weights, which stay open for them
   */
  NetworkLoader(
      Function<Graph, Engine> engine,
      DeviceSpec device,
      Precision storage,
      Optional<Path> archives,
      Consumer<Runnable> later) {
    this.engine = engine;
    this.later = later;
    this.device = device;
    this.storage = storage;
    this.archives = archives;
  }

  /**
   * Loads a network.
   *
   * @param name of the network, for files and messages
   * @param asInConfig what the config says; int8 weights change how it is computed
   * @throws WeightsException for a parameter that is missing, has another shape than the config
   *     asks for, or is converted and holds a NaN or an infinity; or if a file cannot be read to
   *     its end. Numbers that are mapped are looked at later
   */
  public Network load(String name, Graph asInConfig, TensorStore weights) {
    Graph graph = QuantizedGraph.of(asInConfig, weights);
    checkParameters(graph, storage, weights);
    StoredWeights stored = new StoredWeights(weights, graph, storage);
    Program program = new Program(name, graph, storage, stored, weights::digest, archives, later);
    Network network;
    try {
      network = engine.apply(graph).load(program, device);
    } catch (EngineException e) {
      stored.requireWhole(e);
      throw e;
    }
    try {
      // An engine maps files by their names.
      weights.requireUnchanged();
      later.accept(stored::requireFinite);
      return network;
    } catch (RuntimeException e) {
      network.close();
      throw e;
    }
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
    private final Set<String> mapped = new LinkedHashSet<>();

    StoredWeights(TensorStore store, Graph graph, Precision precision) {
      this.store = store;
      this.graph = graph;
      this.precision = precision;
    }

    @Override
    public Optional<TensorPlace> place(String name) {
      DType type = graph.type(name, precision);
      Optional<TensorPlace> place = store.place(name).filter(there -> there.dtype() == type);
      if (place.isPresent() && type.isFloating()) {
        mapped.add(name);
      }
      return place;
    }

    /** An engine says in its own words that a file has ended too early. */
    void requireWhole(EngineException failure) {
      for (String name : graph.parameterShapes().keySet()) {
        Optional<TensorPlace> place = store.place(name);
        if (place.isPresent() && end(name, place.get()) > size(place.get().file())) {
          throw becameShorter(name, failure);
        }
      }
    }

    private long end(String name, TensorPlace place) {
      return place.offset()
          + Graph.elements(graph.parameterShapes().get(name)) * place.dtype().bytes();
    }

    private static long size(Path file) {
      try {
        return Files.size(file);
      } catch (IOException e) {
        return Long.MAX_VALUE; // the engine's own words say that it is gone
      }
    }

    private WeightsException becameShorter(String name, Throwable cause) {
      return new WeightsException(
          "Weights %s: tensor %s could not be read: the file became shorter while it was loaded, or its disk failed"
              .formatted(store.source(), name),
          cause);
    }

    /** Looks at the elements of what was mapped, as {@link #write} does at what it writes. */
    void requireFinite() {
      for (String name : mapped) {
        try {
          if (store.isKnownFinite(name)) {
            continue;
          }
          write(name, graph.parameterShapes().get(name), OutputStream.nullOutputStream());
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
      }
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
        throw becameShorter(name, e);
      }
    }
  }
}
