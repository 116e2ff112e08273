/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.graph.Precision;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.apache.flink.annotation.Internal;

/**
 * A network to load: what it computes, and with which weights.
 *
 * @param name for messages and file names, such as {@code unet}
 * @param graph what it computes
 * @param precision of the parameters that have no dtype of their own
 * @param weights asked during the loading only, once for each parameter
 * @param digest SHA-256 in hexadecimal that stands for all that {@code weights} will give; asked
 *     for only if something is kept, and again when it has been written
 * @param kept folder in which the engine may keep what it makes of programs, for this process and
 *     all others that use it; empty keeps nothing
 * @param later takes checks that read gigabytes, and throw when something is wrong: they need not
 *     delay the loading, but must have passed before anything that the network has computed is used
 */
@Internal
public record Program(
    String name,
    Graph graph,
    Precision precision,
    ParameterSource weights,
    Supplier<String> digest,
    Optional<Path> kept,
    Consumer<Runnable> later) {
  public Program {
    Objects.requireNonNull(name, "name");
    Objects.requireNonNull(graph, "graph");
    Objects.requireNonNull(precision, "precision");
    Objects.requireNonNull(weights, "weights");
    Objects.requireNonNull(digest, "digest");
    Objects.requireNonNull(kept, "kept");
    Objects.requireNonNull(later, "later");
  }

  /** A program whose checks are made while it is loaded. */
  public Program(
      String name,
      Graph graph,
      Precision precision,
      ParameterSource weights,
      Supplier<String> digest,
      Optional<Path> kept) {
    this(name, graph, precision, weights, digest, kept, Runnable::run);
  }

  /** A program of which nothing is kept. */
  public static Program of(String name, Graph graph, Precision precision, ParameterSource weights) {
    return new Program(
        name,
        graph,
        precision,
        weights,
        () -> {
          throw new IllegalStateException("Nothing is kept of " + name + ", so it has no digest.");
        },
        Optional.empty());
  }
}
