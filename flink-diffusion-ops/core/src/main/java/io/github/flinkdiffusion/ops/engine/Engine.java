/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import io.github.flinkdiffusion.ops.graph.Arithmetic;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import org.apache.flink.annotation.Internal;

/**
 * What runs networks: it knows its devices, and brings a {@link Program} onto one of them.
 *
 * <p>{@link Engines} finds implementations by {@link java.util.ServiceLoader}, so a constructor
 * without parameters loads no native library: that waits until a method needs it. Methods may be
 * called by any thread.
 */
@Internal
public interface Engine {
  /** Short and lower case, such as {@code pytorch}; no two engines share it. */
  String name();

  /** The artifacts that the engine needs on the class path, for messages. */
  default String library() {
    return "the engine's library";
  }

  /** Whether that library is on the class path. Loads nothing native. */
  default boolean isUsable() {
    return true;
  }

  /**
   * The library that computes and its version, such as {@code libtorch 2.7.1}: another version may
   * round otherwise. Loads the library.
   */
  String version();

  /** GPUs that this process sees. Loads the library. */
  int gpuCount();

  /**
   * Tensors that this process holds outside the heap, other than networks' weights: between two
   * calls always the same, or one leaks. An engine without native memory has none.
   */
  default int nativeTensors() {
    return 0;
  }

  /**
   * Finds a device: {@code cpu}, {@code gpu:N}, or {@code auto}, which is the first GPU if this
   * process sees one, else the CPU.
   *
   * @throws EngineException on any other text, or when the GPU is not there
   */
  default DeviceSpec device(String text) {
    if (text.equals("cpu")) {
      return DeviceSpec.CPU;
    }
    boolean auto = text.equals("auto");
    Matcher gpu = DeviceSpec.GPU.matcher(text);
    if (!auto && !gpu.matches()) {
      throw new EngineException(
          "Device '" + text + "' is not known; use auto, cpu or gpu:N with N from 0.");
    }
    int present = gpuCount();
    if (auto) {
      return present > 0 ? new DeviceSpec(0) : DeviceSpec.CPU;
    }
    int index = Integer.parseInt(gpu.group(1));
    if (index >= present) {
      throw new EngineException(
          ("Device '%s' is not there: this process sees %d GPU(s). Use cpu, or give the process a"
                  + " CUDA build of its engine, %s (docs/GENERATE.md, On a GPU).")
              .formatted(text, present, version()));
    }
    return new DeviceSpec(index);
  }

  /**
   * Loads a network for inference.
   *
   * @throws EngineException if the engine cannot run the program, naming what it does not support,
   *     or if the device has no room for it
   */
  Network load(Program program, DeviceSpec device);

  /**
   * Loads a network for training: its {@code forward} returns a scalar loss, and its parameters are
   * float32.
   *
   * @param trained which parameters have gradients and change, by the graph's names; the others
   *     stay as they are
   * @throws EngineException as {@link #load}; also if the engine trains no networks, or no
   *     parameter is to be trained
   */
  TrainableNetwork train(
      Program program, DeviceSpec device, Arithmetic arithmetic, Predicate<String> trained);

  /** {@link #train(Program, DeviceSpec, Arithmetic, Predicate)} of all parameters. */
  default TrainableNetwork train(Program program, DeviceSpec device, Arithmetic arithmetic) {
    return train(program, device, arithmetic, parameter -> true);
  }
}
