package io.github.flinkdiffusion.ops.pipeline;

import java.util.Collections;
import java.util.Objects;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Which model a pipeline runs.
 *
 * @param name of the model folder
 * @param digest SHA-256 over weights and configs, lower-case hex; a saved trajectory goes on only
 *     on a model of equal digest
 * @param loadedAs what else its pictures depend on, by name: {@code pipeline}, the class; {@code
 *     precision} of the networks; {@code device}, {@code cpu} or {@code gpu}; {@code
 *     safetyChecker}, where the folder has one, and {@code watermark}, {@code true} or {@code
 *     false}; {@code loras}, names and scales, where there are some: the digest counts their
 *     content. Nothing that differs between two machines of a kind
 */
public record ModelInfo(String name, String digest, SortedMap<String, String> loadedAs) {
  public ModelInfo {
    Objects.requireNonNull(name, "name");
    Objects.requireNonNull(digest, "digest");
    loadedAs = Collections.unmodifiableSortedMap(new TreeMap<>(loadedAs));
  }

  /** A model of which there is nothing more to say. */
  public ModelInfo(String name, String digest) {
    this(name, digest, Collections.emptySortedMap());
  }
}
