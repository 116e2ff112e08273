/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.QuantizedWeights;
import io.github.flinkdiffusion.ops.weights.SafetensorsWriter;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.apache.flink.annotation.Internal;

/** Writes a model folder again with the weights of some networks in int8 or int4. */
@Internal
public final class ModelQuantizer {
  /** Networks that call after call take the time and the memory. */
  private static final List<String> DENOISERS = List.of("unet", "transformer");

  private static final String WEIGHTS = "diffusion_pytorch_model.safetensors";

  private ModelQuantizer() {}

  /**
   * What became of a network.
   *
   * @param before bytes of its weights' files
   * @param after the same of what was written
   */
  public record Quantized(String component, long before, long after) {}

  /** The networks of a model that are worth it: its UNet or its transformer. */
  public static SortedSet<String> denoisers(ModelFolder model) {
    SortedSet<String> found = new TreeSet<>(DENOISERS);
    found.retainAll(model.componentNames());
    return found;
  }

  /**
   * Writes the folder.
   *
   * @param model a folder, no single file
   * @param components the networks whose weights are quantized
   * @param kind of the weights
   * @param to a folder that is not there, or empty
   * @throws WeightsException if it cannot be read or written
   */
  public static List<Quantized> write(
      ModelFolder model, SortedSet<String> components, QuantizedWeights.Kind kind, Path to) {
    if (!Files.isDirectory(model.path())) {
      throw new WeightsException(
          "%s is a single file; only model folders can be quantized".formatted(model.path()));
    }
    if (components.isEmpty()) {
      throw new WeightsException(
          "Model folder %s: no network to quantize; name one of %s"
              .formatted(model.path(), model.componentNames()));
    }
    try {
      if (Files.exists(to)) {
        try (Stream<Path> there = Files.list(to)) {
          if (there.findAny().isPresent()) {
            throw new WeightsException("Folder %s is not empty".formatted(to));
          }
        }
      }
      for (String name : components) {
        // Refuses what cannot be quantized before anything is written.
        new QuantizedWeights(model.component(name).open(), kind).close();
      }
      copy(model, components, to);
      return components.stream().map(name -> quantize(model.component(name), kind, to)).toList();
    } catch (IOException e) {
      throw new WeightsException("Cannot write model folder " + to + ": " + e, e);
    }
  }

  private static void copy(ModelFolder model, SortedSet<String> components, Path to)
      throws IOException {
    try (Stream<Path> all = Files.walk(model.path())) {
      for (Path file : (Iterable<Path>) all::iterator) {
        Path relative = model.path().relativize(file);
        if (Files.isDirectory(file)) {
          Files.createDirectories(to.resolve(relative));
        } else if (relative.getNameCount() < 2
            || !components.contains(relative.getName(0).toString())
            || relative.getFileName().toString().equals("config.json")) {
          Files.copy(file, to.resolve(relative));
        }
      }
    }
  }

  private static Quantized quantize(ModelComponent component, QuantizedWeights.Kind kind, Path to) {
    Path file = to.resolve(component.name()).resolve(WEIGHTS);
    try (TensorStore weights = new QuantizedWeights(component.open(), kind)) {
      SafetensorsWriter.write(
          file,
          weights,
          Map.of(
              "format",
              "pt",
              "quantization",
              kind == QuantizedWeights.Kind.INT8
                  ? "int8, a scale a row"
                  : "int4, a scale for %d elements".formatted(QuantizedWeights.GROUP)));
      long before = 0;
      for (Path each : component.weightFiles()) {
        before += Files.size(each);
      }
      return new Quantized(component.name(), before, Files.size(file));
    } catch (IOException e) {
      throw new WeightsException("Cannot read the size of " + file + ": " + e, e);
    }
  }
}
