/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnxruntime;

import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtProvider;
import ai.onnxruntime.OrtSession.SessionOptions;
import io.github.flinkdiffusion.ops.engine.UnusableEngineException;
import java.util.Locale;
import java.util.Properties;
import java.util.Set;

/** What computes sessions on GPUs: a property of the process, since all its GPUs are alike. */
enum GpuProvider {
  CUDA,

  /**
   * Compiles a network for its GPU and for the shapes of its inputs, minutes at the first call of
   * each; CUDA computes what it does not take.
   */
  TENSORRT;

  /** System property: {@code cuda}, {@code tensorrt}, or {@code auto}, which is CUDA. */
  static final String PROPERTY = "flinkdiffusion.onnxruntime.provider";

  private static final String AUTO = "auto";

  /**
   * @param process the system properties; tests bring their own
   * @throws UnusableEngineException if the property names no provider
   */
  static GpuProvider configured(Properties process) {
    String name = process.getProperty(PROPERTY, AUTO);
    return switch (name.toLowerCase(Locale.ROOT)) {
      case AUTO, "cuda" -> CUDA;
      case "tensorrt" -> TENSORRT;
      default ->
          throw new UnusableEngineException(
              "Invalid value '%s' for the system property %s: expected auto, cuda or tensorrt."
                  .formatted(name, PROPERTY));
    };
  }

  /**
   * Adds what this needs, in the order in which the library asks.
   *
   * @param gpu index of the GPU
   * @param available in the library of this process
   * @throws UnusableEngineException if the library was built without it
   */
  void addTo(SessionOptions options, int gpu, Set<OrtProvider> available) throws OrtException {
    OrtProvider needed = this == TENSORRT ? OrtProvider.TENSOR_RT : OrtProvider.CUDA;
    if (!available.contains(needed)) {
      throw new UnusableEngineException(
          "This build of ONNX Runtime has no %s, only %s: put com.microsoft.onnxruntime:onnxruntime_gpu on the class path in place of onnxruntime, or set %s."
              .formatted(
                  needed,
                  available,
                  this == TENSORRT ? PROPERTY + " to cuda" : "diffusion.device to cpu"));
    }
    if (this == TENSORRT) {
      options.addTensorrt(gpu);
    }
    options.addCUDA(gpu);
  }
}
