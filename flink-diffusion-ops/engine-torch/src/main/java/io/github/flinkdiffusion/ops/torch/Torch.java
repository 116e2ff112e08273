/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import ai.djl.Device;
import ai.djl.engine.Engine;
import ai.djl.engine.EngineException;
import ai.djl.pytorch.jni.JniUtils;
import io.github.flinkdiffusion.ops.engine.DeviceSpec;

/** The process's one libtorch, loaded at first use. */
final class Torch {
  static final String ENGINE = "PyTorch";

  private Torch() {}

  static Engine engine() {
    // Nothing may be fetched at run time: a missing native library is an error here, not a
    // download.
    System.setProperty("ai.djl.offline", System.getProperty("ai.djl.offline", "true"));
    NativeLibraryOwner.claim(System.getProperties(), JniUtils.class.getClassLoader());
    try {
      return Engine.getEngine(ENGINE);
    } catch (EngineException | UnsatisfiedLinkError e) {
      throw new io.github.flinkdiffusion.ops.engine.EngineException(
          "libtorch could not be loaded ("
              + e.getMessage()
              + "). Put pytorch-jni and a pytorch-native jar for this platform on the "
              + "class path, in Flink's lib/ folder on a cluster: a native library can be loaded by one class loader only.",
          e);
    }
  }

  static Device device(DeviceSpec device) {
    return device.isGpu() ? Device.gpu(device.gpu()) : Device.cpu();
  }

  /** As TorchScript calls it. */
  static String name(DeviceSpec device) {
    return device.isGpu() ? "cuda:" + device.gpu() : "cpu";
  }
}
