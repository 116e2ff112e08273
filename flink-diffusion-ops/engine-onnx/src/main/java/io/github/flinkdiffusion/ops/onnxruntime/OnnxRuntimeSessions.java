package io.github.flinkdiffusion.ops.onnxruntime;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession.SessionOptions;
import ai.onnxruntime.OrtSession.SessionOptions.OptLevel;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.PlacedWeights;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.onnx.OnnxEmitter;
import io.github.flinkdiffusion.ops.weights.TensorPlace;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/** Makes the sessions of a program. */
final class OnnxRuntimeSessions {
  /**
   * Bytes of weights up to which a network's are packed for its kernels as well, which doubles
   * their memory and makes calls of small networks up to a quarter faster.
   */
  static final long PACKED_UP_TO = 256L << 20;

  /** Files of weights are named from here: one network's may lie in several folders. */
  private static final String ROOT = "/";

  private OnnxRuntimeSessions() {}

  static Network load(Program program, DeviceSpec device) {
    OrtEnvironment environment = OnnxRuntime.environment();
    Map<String, OnnxRuntimeNetwork.Call> calls = new LinkedHashMap<>();
    try (PlacedWeights weights = PlacedWeights.of(program);
        SessionOptions options = options(program.graph(), device)) {
      OnnxEmitter emitter =
          new OnnxEmitter(
              program.graph(), program.precision(), weights::place, OnnxRuntimeSessions::location);
      for (Method method : program.graph().methods()) {
        calls.put(
            method.name(),
            new OnnxRuntimeNetwork.Call(
                method, environment.createSession(emitter.model(method), options)));
      }
      return new OnnxRuntimeNetwork(program.name() + " on " + device, environment, calls);
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
    SessionOptions options = new SessionOptions();
    options.addConfigEntry("session.model_external_initializers_file_folder_path", ROOT);
    if (OnnxRuntime.sharesThreads()) {
      options.disablePerSessionThreads();
    } else {
      options.setIntraOpNumThreads(OnnxRuntime.threads());
    }
    if (4 * graph.parameterCount() > PACKED_UP_TO) {
      options.addConfigEntry("session.disable_prepacking", "1");
      options.setOptimizationLevel(OptLevel.EXTENDED_OPT);
    } else {
      options.setOptimizationLevel(OptLevel.ALL_OPT);
    }
    if (device.isGpu()) {
      GpuProvider.configured(System.getProperties())
          .addTo(options, device.gpu(), OrtEnvironment.getAvailableProviders());
    }
    return options;
  }
}
