/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.pipeline.ComponentSettings;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorInfo;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.stream.LongStream;

/** What a model is, from its configs and the headers of its files, for people. */
final class ModelReport {
  private static final double MEBIBYTE = 1 << 20;
  private static final double MILLION = 1e6;

  private final ModelFolder model;

  ModelReport(ModelFolder model) {
    this.model = model;
  }

  static boolean isSupported(ModelFolder model) {
    return Pipelines.supported().contains(model.pipelineClass());
  }

  /** Returns whether the model is supported, as far as that shows without loading it. */
  boolean print() {
    System.out.printf(
        Locale.ROOT, "%s: %s%n  %s%n", model.name(), model.pipelineClass(), model.path());
    Set<Path> files = new HashSet<>();
    for (String name : model.componentNames()) {
      ModelComponent component = model.component(name);
      System.out.printf(
          Locale.ROOT, "  %-18s %-28s %s%n", name, component.className(), weights(component));
      files.addAll(component.weightFiles());
    }
    System.out.printf(
        Locale.ROOT,
        "  weights on disk: %.1f MiB in %s%n",
        size(files) / MEBIBYTE,
        Count.of(files.size(), "file"));
    printMemory();
    ModelDomain.of(model.path())
        .ifPresent(domain -> domain.lines().forEach(line -> System.out.println("  " + line)));
    if (!isSupported(model)) {
      printNotSupported();
      return false;
    }
    System.out.println("  The class is supported. examples/model check loads the model.");
    return true;
  }

  /** What all weights take, before anything is loaded. */
  private void printMemory() {
    try {
      System.out.printf(
          Locale.ROOT,
          "  weights in memory: %.1f MiB in float32, %.1f in float16 or bfloat16%n",
          memory(Precision.FLOAT32, false),
          memory(Precision.BFLOAT16, false));
      double unloading = memory(Precision.FLOAT32, true);
      if (unloading < memory(Precision.FLOAT32, false)) {
        System.out.printf(
            Locale.ROOT,
            "  ... with diffusion.model.unload-text-encoders: %.1f and %.1f MiB%n",
            unloading,
            memory(Precision.BFLOAT16, true));
      }
    } catch (WeightsException e) {
      System.out.println("  weights in memory: unknown: " + e.getMessage());
    }
  }

  /** In MiB. */
  private double memory(Precision precision, boolean unloads) {
    PipelineSettings settings =
        PipelineSettings.on(DeviceSpec.CPU)
            .withPrecision(precision)
            .withComponents(ComponentSettings.of(Map.of(), Map.of(), unloads));
    return Pipelines.weightBytes(model, settings) / MEBIBYTE;
  }

  void printNotSupported() {
    System.out.printf(
        "  NOT SUPPORTED: the pipeline %s of %s. Supported are %s.%n",
        model.pipelineClass(), model.name(), String.join(", ", Pipelines.supported()));
  }

  private static String weights(ModelComponent component) {
    if (component.weightFiles().isEmpty()) {
      return "";
    }
    try (TensorStore store = component.open()) {
      SortedSet<String> types = new TreeSet<>();
      long parameters = 0;
      for (String name : store.names()) {
        TensorInfo info = store.info(name);
        types.add(info.dtype().toString());
        parameters += LongStream.of(info.shape()).reduce(1, (a, b) -> a * b);
      }
      return String.format(
          Locale.ROOT,
          "%8.2f M parameters, %s, %s",
          parameters / MILLION,
          String.join("/", types),
          component.weightFiles().get(0).getFileName());
    } catch (WeightsException e) {
      return "UNUSABLE: " + e.getMessage();
    }
  }

  private static long size(Set<Path> files) {
    long bytes = 0;
    try {
      for (Path file : files) {
        bytes += Files.size(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot inspect " + files, e);
    }
    return bytes;
  }
}
