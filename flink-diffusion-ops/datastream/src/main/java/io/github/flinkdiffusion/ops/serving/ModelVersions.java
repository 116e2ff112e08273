/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * The versions of one model that are known, and the one that requests begin on. Immutable.
 *
 * @param configured the model as the job's options name it; other options begin with their own
 *     version again
 * @param known oldest first, at most {@value #MOST}; that of the options is always among them
 * @param current one of them
 */
@Internal
public record ModelVersions(String configured, List<ModelVersion> known, ModelVersion current) {
  /** An older version is forgotten, but for the one that the options name. */
  public static final int MOST = 32;

  public ModelVersions {
    known = List.copyOf(known);
    if (!known.contains(current)) {
      throw new IllegalArgumentException(current + " is none of " + known);
    }
  }

  /** Before any event. */
  static ModelVersions of(String configured) {
    ModelVersion only = ModelVersion.configured();
    return new ModelVersions(configured, List.of(only), only);
  }

  /**
   * As restored, with the options that the job has now. Where they name another model than before,
   * they count, and events from before do not.
   */
  ModelVersions under(String nowConfigured) {
    if (configured.equals(nowConfigured)) {
      return this;
    }
    ModelVersion own = ModelVersion.configured();
    List<ModelVersion> all = new ArrayList<>(List.of(own));
    known.stream().filter(version -> version.folder().isPresent()).forEach(all::add);
    return new ModelVersions(nowConfigured, all, own);
  }

  /** The version whose content this is, the current one first. */
  Optional<ModelVersion> of(Optional<String> digest) {
    return digest.flatMap(
        wanted ->
            current.has(wanted)
                ? Optional.of(current)
                : known.stream().filter(version -> version.has(wanted)).findFirst());
  }

  /**
   * The latest version that an event calls so.
   *
   * @param name its label, or its digest
   */
  public Optional<ModelVersion> named(String name) {
    return known.stream()
        .filter(version -> version.label().equals(name) || version.has(name))
        .reduce((earlier, later) -> later);
  }

  /** These, with a digest that has become known. */
  ModelVersions withDigest(ModelVersion of, String digest) {
    List<ModelVersion> all =
        known.stream()
            .map(version -> version.equals(of) ? version.withDigest(digest) : version)
            .toList();
    return new ModelVersions(
        configured, all, current.equals(of) ? current.withDigest(digest) : current);
  }

  /** These, with another one that requests begin on; it may be new. */
  ModelVersions with(ModelVersion next) {
    List<ModelVersion> all = new ArrayList<>(known);
    all.removeIf(
        version -> version.label().equals(next.label()) && version.folder().equals(next.folder()));
    all.add(next);
    for (int at = 0; all.size() > MOST; ) {
      if (all.get(at).folder().isEmpty()) {
        at++;
      } else {
        all.remove(at);
      }
    }
    return new ModelVersions(configured, all, next);
  }
}
