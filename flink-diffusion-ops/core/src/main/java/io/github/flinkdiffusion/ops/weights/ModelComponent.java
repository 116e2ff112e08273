/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.weights;

import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/** One part of a {@link ModelFolder}: a network, a scheduler, a tokenizer. */
@Internal
public final class ModelComponent {
  private final String name;
  private final String library;
  private final String className;
  private final Optional<Path> folder;
  private final Optional<Config> config;
  private final ComponentWeights weights;
  private final FileDigests digests;

  ModelComponent(
      String name,
      String library,
      String className,
      Optional<Path> folder,
      Optional<Config> config,
      ComponentWeights weights,
      FileDigests digests) {
    this.name = Objects.requireNonNull(name);
    this.library = Objects.requireNonNull(library);
    this.className = Objects.requireNonNull(className);
    this.folder = Objects.requireNonNull(folder);
    this.config = Objects.requireNonNull(config);
    this.weights = Objects.requireNonNull(weights);
    this.digests = Objects.requireNonNull(digests);
  }

  /** The same, with its files among those of another model. */
  ModelComponent withDigests(FileDigests others) {
    return new ModelComponent(name, library, className, folder, config, weights, others);
  }

  ModelComponent withWeights(ComponentWeights other) {
    return new ModelComponent(name, library, className, folder, config, other, digests);
  }

  /** The key in {@code model_index.json} and the name of the sub-folder, such as {@code unet}. */
  public String name() {
    return name;
  }

  /** The Python library its class is from, such as {@code diffusers}. */
  public String library() {
    return library;
  }

  /** The Python class, such as {@code UNet2DConditionModel}. */
  public String className() {
    return className;
  }

  /** Where its files are; empty if they are part of a single file, or its config was inferred. */
  public Optional<Path> folder() {
    return folder;
  }

  /**
   * Its config file: {@code config.json}, or what stands for it beside a scheduler, tokenizer or
   * image processor.
   *
   * @throws WeightsException if there is none
   */
  public Config config() {
    return config.orElseThrow(
        () ->
            new WeightsException(
                "Component %s has no file %s".formatted(this, ModelIndex.configOf(className))));
  }

  /**
   * Maps its weights, under the names of diffusers or transformers: a file of the network alone may
   * have those of its authors, as GGUF files do.
   *
   * @throws WeightsException if it has none, only pickled ones, or invalid ones
   */
  public TensorStore open() {
    TensorStore opened = weights.open(digests);
    if (config.isEmpty() || !OriginalComponent.isNetwork(className)) {
      return opened;
    }
    OriginalComponent original = new OriginalComponent(name, className, config.get());
    try {
      return original.isIn(opened.names()) ? original.show(opened) : opened;
    } catch (RuntimeException e) {
      opened.close();
      throw e;
    }
  }

  /** The files that {@link #open()} reads; empty for a component without weights. */
  public List<Path> weightFiles() {
    return weights.files();
  }

  @Override
  public String toString() {
    return name
        + " ("
        + library
        + "."
        + className
        + ")"
        + folder.map(path -> " in " + path).orElse("");
  }
}
