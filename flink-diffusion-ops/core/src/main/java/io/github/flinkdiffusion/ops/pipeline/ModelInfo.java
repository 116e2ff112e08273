/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Collections;
import java.util.Objects;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.apache.flink.annotation.Internal;

/** Which model a pipeline runs. */
@Internal
public final class ModelInfo {
  private final String name;
  private final Supplier<String> digest;
  private final SortedMap<String, String> loadedAs;

  /**
   * @param name of the model folder
   * @param digest SHA-256 over weights and configs, lower-case hex
   * @param loadedAs what else its pictures depend on, by the names that {@link Basis} explains
   */
  public ModelInfo(String name, String digest, SortedMap<String, String> loadedAs) {
    this(name, () -> digest, loadedAs);
    Objects.requireNonNull(digest, "digest");
  }

  /** A model of which there is nothing more to say. */
  public ModelInfo(String name, String digest) {
    this(name, digest, Collections.emptySortedMap());
  }

  /**
   * Of a model whose digest is still computed.
   *
   * @param digest waits for it, and throws if the model's files are not what they must be
   */
  ModelInfo(String name, Supplier<String> digest, SortedMap<String, String> loadedAs) {
    this.name = Objects.requireNonNull(name, "name");
    this.digest = digest;
    this.loadedAs = Collections.unmodifiableSortedMap(new TreeMap<>(loadedAs));
  }

  /** Of the model folder. */
  public String name() {
    return name;
  }

  /**
   * SHA-256 over weights and configs, lower-case hex. Waits until every byte of them has been read
   * and checked: seconds for a large model that was just opened, nothing later.
   *
   * @throws io.github.flinkdiffusion.ops.weights.WeightsException if weights are damaged, or what
   *     the model was opened with says instead
   */
  public String digest() {
    return digest.get();
  }

  /** What else its pictures depend on, by the names that {@link Basis} explains. */
  public SortedMap<String, String> loadedAs() {
    return loadedAs;
  }

  /**
   * What decides its images besides their requests; a saved trajectory goes on only on that. Does
   * not wait for the digest: who asks for its values does.
   */
  public Basis basis() {
    return Basis.of(digest, loadedAs);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ModelInfo that
        && name.equals(that.name)
        && loadedAs.equals(that.loadedAs)
        && digest().equals(that.digest());
  }

  @Override
  public int hashCode() {
    return Objects.hash(name, loadedAs);
  }

  @Override
  public String toString() {
    return name + loadedAs;
  }
}
