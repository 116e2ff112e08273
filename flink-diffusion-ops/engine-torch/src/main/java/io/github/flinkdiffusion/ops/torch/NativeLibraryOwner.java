/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torch;

import io.github.flinkdiffusion.ops.engine.EngineException;
import java.util.Properties;

/**
 * Which class loader of this process has libtorch.
 *
 * <p>A JVM lets one class loader load a native library, and no other after it; the second gets an
 * {@code UnsatisfiedLinkError} deep inside, at every restart of the job. So the first to come
 * leaves its name where all class loaders look, the system properties, and a second one is told
 * what to do before it tries.
 */
final class NativeLibraryOwner {
  static final String PROPERTY = "io.github.flinkdiffusion.libtorch.owner";

  private NativeLibraryOwner() {}

  /**
   * Claims libtorch; any number of times by the same class loader.
   *
   * @param process the system properties; tests bring their own
   * @param loader of the classes that call the native library
   * @throws EngineException when another class loader has it
   */
  static void claim(Properties process, ClassLoader loader) {
    String name = name(loader);
    Object owner = process.putIfAbsent(PROPERTY, name);
    if (owner != null && !owner.equals(name)) {
      throw new EngineException(
          ("libtorch is already loaded in this process by the class loader %s, and %s cannot load it"
                  + " again: put the jars of flink-diffusion-ops and all flink-diffusion jars it depends on, ai.djl:api,"
                  + " ai.djl.pytorch:pytorch-engine, pytorch-jni and pytorch-native into Flink's lib/"
                  + " folder, leave them out of the job's jar, and restart the task manager"
                  + " (deploy/README.md).")
              .formatted(owner, name));
    }
  }

  /** Unlike for any two class loaders that are alive at the same time, but for rare accidents. */
  private static String name(ClassLoader loader) {
    return loader.getClass().getName() + "@" + Integer.toHexString(System.identityHashCode(loader));
  }
}
