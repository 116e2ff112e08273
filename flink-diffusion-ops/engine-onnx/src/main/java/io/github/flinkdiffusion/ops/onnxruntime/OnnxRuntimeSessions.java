/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnxruntime;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.OrtSession.SessionOptions;
import ai.onnxruntime.OrtSession.SessionOptions.OptLevel;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.PlacedWeights;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.RowWise;
import io.github.flinkdiffusion.ops.onnx.OnnxEmitter;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** Makes the sessions of a program. */
final class OnnxRuntimeSessions {
  /**
   * Bytes of weights up to which a network's are packed for its kernels as well, which doubles
   * their memory and makes calls of small networks up to a quarter faster.
   */
  static final long PACKED_UP_TO = 256L << 20;

  /**
   * Bytes of weights up to which a call's rows are computed apart, each thread its own, where the
   * graph allows it ({@link RowWise}), and small calls by one thread ({@link SmallCalls}). The
   * session for it packs the weights once more.
   */
  static final long SPLIT_UP_TO = 64L << 20;

  /** Files of weights are named from here: one network's may lie in several folders. */
  private static final String ROOT = "/";

  private OnnxRuntimeSessions() {}

  static Network load(Program program, DeviceSpec device) {
    OrtEnvironment environment = OnnxRuntime.environment();
    Graph graph = program.graph();
    boolean mayShareOutRows =
        !device.isGpu() && OnnxRuntime.threads() > 1 && 4 * graph.parameterCount() <= SPLIT_UP_TO;
    Map<String, OnnxRuntimeNetwork.Call> calls = new LinkedHashMap<>();
    try (PlacedWeights weights = PlacedWeights.of(program);
        SessionOptions together = options(graph, device);
        SessionOptions apart = optionsOfOneThread(graph)) {
      OnnxEmitter emitter =
          new OnnxEmitter(
              graph, program.precision(), weights::place, OnnxRuntimeSessions::location);
      for (Method method : graph.methods()) {
        byte[] model = emitter.model(method);
        OrtSession session = environment.createSession(model, together);
        // In the map at once, so that it is closed when the next one fails.
        calls.put(method.name(), new OnnxRuntimeNetwork.Call(method, session, Optional.empty()));
        if (mayShareOutRows && RowWise.is(method)) {
          OrtSession ofOneThread = environment.createSession(model, apart);
          calls.put(
              method.name(),
              new OnnxRuntimeNetwork.Call(method, session, Optional.of(ofOneThread)));
        }
      }
      return new OnnxRuntimeNetwork(
          program.name() + " on " + device,
          environment,
          calls,
          calls.values().stream().anyMatch(OnnxRuntimeNetwork.Call::sharesOutRows)
              ? Optional.of(new RowParts(OnnxRuntime.threads()))
              : Optional.empty());
    } catch (OrtException e) {
      calls.values().forEach(OnnxRuntimeNetwork.Call::close);
      throw OnnxRuntime.translate("Loading network " + program.name() + " on " + device, e);
    } catch (RuntimeException e) {
      calls.values().forEach(OnnxRuntimeNetwork.Call::close);
      throw e;
    }
  }

  private static String location(TensorPlace place) {
    try {
      // The library refuses symbolic links, and hubs' caches are made of them.
      return place.file().toRealPath().toString().substring(ROOT.length());
    } catch (IOException e) {
      throw new EngineException("Weights " + place.file() + " cannot be read: " + e, e);
    }
  }

  private static SessionOptions options(Graph graph, DeviceSpec device) throws OrtException {
    SessionOptions options = optionsOfWeights(graph);
    if (OnnxRuntime.sharesThreads()) {
      options.disablePerSessionThreads();
    } else {
      options.setIntraOpNumThreads(OnnxRuntime.threads());
    }
    if (device.isGpu()) {
      GpuProvider.configured(System.getProperties())
          .addTo(options, device.gpu(), OrtEnvironment.getAvailableProviders());
    }
    return options;
  }

  /** For a session that computes in the thread that calls it, and in several at once. */
  private static SessionOptions optionsOfOneThread(Graph graph) throws OrtException {
    SessionOptions options = optionsOfWeights(graph);
    options.setIntraOpNumThreads(1);
    return options;
  }

  private static SessionOptions optionsOfWeights(Graph graph) throws OrtException {
    SessionOptions options = new SessionOptions();
    options.addConfigEntry("session.model_external_initializers_file_folder_path", ROOT);
    if (graph.has(Op.DEQUANTIZE) || graph.has(Op.DEQUANTIZE_GROUPS)) {
      // Planned memory has a place for more weights than are floats at a time.
      options.setMemoryPatternOptimization(false);
    }
    if (4 * graph.parameterCount() > PACKED_UP_TO) {
      options.addConfigEntry("session.disable_prepacking", "1");
      options.setOptimizationLevel(OptLevel.EXTENDED_OPT);
    } else {
      options.setOptimizationLevel(OptLevel.ALL_OPT);
    }
    return options;
  }
}
