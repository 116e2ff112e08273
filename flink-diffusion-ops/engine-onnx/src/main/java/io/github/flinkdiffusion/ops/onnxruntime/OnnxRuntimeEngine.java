/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnxruntime;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtProvider;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.Network;
import io.github.flinkdiffusion.ops.engine.Program;
import io.github.flinkdiffusion.ops.engine.TrainableNetwork;
import io.github.flinkdiffusion.ops.engine.UnusableEngineException;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.graph.Precision;
import java.util.function.Predicate;
import org.apache.flink.annotation.Internal;

/**
 * ONNX Runtime: each method of a program becomes a session; weights are mapped, not copied.
 *
 * <p>Java can make one without the library's classes: what catches its exceptions, or else needs
 * its classes to be verified, is {@link OnnxRuntimeSessions}.
 */
@Internal
public final class OnnxRuntimeEngine implements Engine {
  @Override
  public String name() {
    return "onnxruntime";
  }

  @Override
  public String library() {
    return "com.microsoft.onnxruntime:onnxruntime (onnxruntime_gpu for CUDA)";
  }

  @Override
  public boolean isUsable() {
    ClassLoader loader = OnnxRuntimeEngine.class.getClassLoader();
    return loader.getResource("ai/onnxruntime/OrtEnvironment.class") != null;
  }

  @Override
  public String version() {
    String version = "ONNX Runtime " + OnnxRuntime.environment().getVersion();
    boolean compiles =
        gpuCount() > 0 && GpuProvider.configured(System.getProperties()) == GpuProvider.TENSORRT;
    // It rounds otherwise, so images begun with it begin anew without it.
    return compiles ? version + " with TensorRT" : version;
  }

  @Override
  public int gpuCount() {
    OnnxRuntime.environment();
    // The library does not count them; a job says which one it wants.
    return OrtEnvironment.getAvailableProviders().contains(OrtProvider.CUDA) ? 1 : 0;
  }

  @Override
  public int nativeTensors() {
    return OnnxRuntimeTensor.open();
  }

  @Override
  public Network load(Program program, DeviceSpec device) {
    if (!device.isGpu() && program.precision() != Precision.FLOAT32) {
      throw new UnusableEngineException(
          ("Network %s cannot compute in %s on the CPU, where ONNX Runtime computes in FLOAT32"
                  + " only: set diffusion.model.precision to FLOAT32, or diffusion.engine to"
                  + " pytorch.")
              .formatted(program.name(), program.precision()));
    }
    return OnnxRuntimeSessions.load(program, device);
  }

  @Override
  public TrainableNetwork train(
      Program program, DeviceSpec device, Arithmetic arithmetic, Predicate<String> trained) {
    throw new UnusableEngineException(
        "Network %s cannot be trained with the engine onnxruntime: use the engine pytorch."
            .formatted(program.name()));
  }
}
