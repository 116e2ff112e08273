package io.github.flinkdiffusion.ops.engine;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.stream.Collectors;

/**
 * The engines that a class loader has.
 *
 * <p>Those of this project's own class loader are the ones that count, not those of the thread's
 * context: with the project in Flink's {@code lib/} folder a thread's context is a job's, and with
 * it in the job's jar the context of the library's own threads may be anything.
 */
public final class Engines {
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
    try {
      ServiceLoader.load(Engine.class, loader).forEach(found::add);
    } catch (ServiceConfigurationError e) {
      throw new EngineException(
          "An engine on the class path could not be made: %s. Put all jars that it needs beside it."
              .formatted(e.getMessage()),
          e);
    }
    found.sort(Comparator.comparing(Engine::name));
    return new Engines(found);
  }

  /**
   * The one engine of this project's class loader.
   *
   * @throws EngineException if there is none, or more than one
   */
  public static Engine standard() {
    return of(Engine.class.getClassLoader()).only();
  }

  /**
   * The engine that needs no choice.
   *
   * @throws EngineException if there is none, or more than one
   */
  public Engine only() {
    if (found.size() != 1) {
      throw new EngineException(
          found.isEmpty()
              ? "No engine is on the class path, so no network can run: add the jar of one, such as flink-diffusion-ops with ai.djl.pytorch:pytorch-engine. A jar that was made of several must merge their META-INF/services files."
              : "More than one engine is on the class path, %s, and images depend on which one runs: leave one of them."
                  .formatted(names()));
    }
    return found.get(0);
  }

  /**
   * The engine of that name.
   *
   * @throws EngineException if there is none, naming those that are
   */
  public Engine named(String name) {
    return found.stream()
        .filter(engine -> engine.name().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new EngineException(
                    "Engine '%s' is not on the class path; found: %s."
                        .formatted(name, found.isEmpty() ? "none" : names())));
  }

  private String names() {
    return found.stream().map(Engine::name).collect(Collectors.joining(", "));
  }
}
