package io.github.flinkdiffusion.ops.pipeline;

import java.util.Collections;
import java.util.Objects;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Which model a pipeline runs.
 *
 * @param name of the model folder
 * @param digest SHA-256 over weights and configs, lower-case hex
 * @param loadedAs what else its pictures depend on, by the names that {@link Basis} explains
 */
public record ModelInfo(String name, String digest, SortedMap<String, String> loadedAs) {
  public ModelInfo {
    Objects.requireNonNull(name, "name");
    Objects.requireNonNull(digest, "digest");
    loadedAs = Collections.unmodifiableSortedMap(new TreeMap<>(loadedAs));
  }

  /** What decides its images besides their requests; a saved trajectory goes on only on that. */
  public Basis basis() {
    return Basis.of(digest, loadedAs);
  }

  /** A model of which there is nothing more to say. */
  public ModelInfo(String name, String digest) {
    this(name, digest, Collections.emptySortedMap());
  }
}
