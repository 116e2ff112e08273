/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Op;
import io.github.flinkdiffusion.ops.graph.Precision;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.stream.Collectors;
import org.apache.flink.annotation.Internal;

/**
 * The engines that a class loader has.
 *
 * <p>Those of this project's own class loader are the ones that count, not those of the thread's
 * context: with the project in Flink's {@code lib/} folder a thread's context is a job's, and with
 * it in the job's jar the context of the library's own threads may be anything.
 */
@Internal
public final class Engines {
  /** Leaves the choice to {@link #choose}. */
  public static final String AUTO = "auto";

  /** DJL's PyTorch: libtorch. */
  public static final String PYTORCH = "pytorch";

  public static final String ONNX_RUNTIME = "onnxruntime";

  static final String PROPERTY = "flinkdiffusion.engine";

  private final List<Engine> found;

  private Engines(List<Engine> found) {
    this.found = found;
  }

  /**
   * Finds the engines of a class loader and of its parents.
   *
   * @throws EngineException if a class path names an engine that cannot be made
   */
  public static Engines of(ClassLoader loader) {
    List<Engine> found = new ArrayList<>();
    Iterator<Engine> engines = ServiceLoader.load(Engine.class, loader).iterator();
    while (true) {
      try {
        if (!engines.hasNext()) {
          break;
        }
        found.add(engines.next());
      } catch (ServiceConfigurationError e) {
        if (!isOfAnotherClassLoader(e)) {
          throw new UnusableEngineException(
              "Cannot create an engine of the class path: %s. Add all jars that it needs."
                  .formatted(e.getMessage()),
              e);
        }
      }
    }
    found.sort(Comparator.comparing(Engine::name));
    return new Engines(found);
  }

  /**
   * With the project in a job's jar and in Flink's {@code lib/}, too, the job's class loader sees
   * the engines of both, and those of {@code lib/} are of an interface that has the same name only.
   */
  private static boolean isOfAnotherClassLoader(ServiceConfigurationError e) {
    return String.valueOf(e.getMessage()).endsWith("not a subtype");
  }

  /**
   * The engines of this project's class loader.
   *
   * @throws EngineException if a class path names an engine that cannot be made
   */
  public static Engines standard() {
    return of(Engine.class.getClassLoader());
  }

  /**
   * The engine for a network, by a fixed rule that measurements led to (docs/profiles.md) and that
   * never measures. {@code auto} is the only engine whose library is on the class path. Of several
   * it is ONNX Runtime for float32 on the CPU, but for networks without attention, whose
   * convolutions of large images PyTorch computes faster; and PyTorch for all else: half precision
   * on the CPU, which ONNX Runtime has no kernels for there, and GPUs.
   *
   * <p>For a whole process, the system property {@value #PROPERTY} says what {@code auto} stands
   * for.
   *
   * @param name of an engine, or {@value #AUTO}
   * @param device where the network is to run
   * @param precision in which it is to compute
   * @param graph the network
   * @throws EngineException if there is no such engine, or its library is not there
   */
  public Engine choose(String name, DeviceSpec device, Precision precision, Graph graph) {
    boolean suitsOnnxRuntime =
        !device.isGpu() && precision == Precision.FLOAT32 && graph.has(Op.ATTENTION);
    return choose(name, suitsOnnxRuntime ? ONNX_RUNTIME : PYTORCH);
  }

  private Engine choose(String name, String preferred) {
    String wanted = name.equals(AUTO) ? System.getProperty(PROPERTY, AUTO) : name;
    if (!wanted.equals(AUTO)) {
      return named(wanted);
    }
    List<Engine> usable = usable();
    return usable.stream()
        .filter(engine -> engine.name().equals(preferred))
        .findFirst()
        .orElse(usable.get(0));
  }

  /**
   * Finds a device for an engine that is not chosen yet: {@link Engine#device} of the one that runs
   * networks on GPUs.
   *
   * @throws EngineException as there, and if no engine is usable
   */
  public DeviceSpec device(String text) {
    return device(AUTO, text);
  }

  /**
   * Finds a device as an engine sees it.
   *
   * @param name of the engine, or {@value #AUTO} for the one that runs networks on GPUs
   * @param text as {@link Engine#device} takes it
   * @throws EngineException as there, and if the engine is not usable
   */
  public DeviceSpec device(String name, String text) {
    return text.equals("cpu") ? DeviceSpec.CPU : choose(name, PYTORCH).device(text);
  }

  /** GPUs that this process sees. */
  public int gpuCount() {
    return choose(AUTO, PYTORCH).gpuCount();
  }

  /**
   * The engine that trains networks.
   *
   * @throws EngineException if it is not there
   */
  public Engine trainer() {
    return named(PYTORCH);
  }

  /**
   * Tensors that this process holds outside the heap, other than networks' weights, of all engines:
   * between two calls always the same, or one leaks.
   */
  public int nativeTensors() {
    return usable().stream().mapToInt(Engine::nativeTensors).sum();
  }

  private List<Engine> usable() {
    List<Engine> usable = found.stream().filter(Engine::isUsable).toList();
    if (usable.isEmpty()) {
      throw new UnusableEngineException(
          found.isEmpty()
              ? "No engine is on the class path, so no network can run: add the jar of one, such as"
                  + " flink-diffusion-ops. A jar that was made of several must merge their"
                  + " META-INF/services files."
              : ("No engine has its library on the class path, so no network can run: %s. On a"
                      + " cluster, put it into Flink's lib/ folder.")
                  .formatted(
                      found.stream().map(Engines::whatToAdd).collect(Collectors.joining("; or "))));
    }
    return usable;
  }

  private static String whatToAdd(Engine engine) {
    return "for engine %s add %s".formatted(engine.name(), engine.library());
  }

  /**
   * The engine of that name.
   *
   * @throws EngineException if there is none, naming those that are, or its library is not there
   */
  public Engine named(String name) {
    Engine engine =
        found.stream()
            .filter(each -> each.name().equals(name))
            .findFirst()
            .orElseThrow(
                () ->
                    new UnusableEngineException(
                        "Engine '%s' is not on the class path; found: %s."
                            .formatted(name, found.isEmpty() ? "none" : names())));
    if (!engine.isUsable()) {
      throw new UnusableEngineException(
          "The library of engine '%s' is not on the class path: %s."
              .formatted(name, whatToAdd(engine)));
    }
    return engine;
  }

  private String names() {
    return found.stream().map(Engine::name).collect(Collectors.joining(", "));
  }
}
