package io.github.flinkdiffusion.ops.pipeline;

import java.util.Objects;

/**
 * Which model a pipeline runs.
 *
 * @param name of the model folder
 * @param digest SHA-256 over weights and configs, lower-case hex; a saved trajectory goes on only
 *     on a model of equal digest
 */
public record ModelInfo(String name, String digest) {
  public ModelInfo {
    Objects.requireNonNull(name, "name");
    Objects.requireNonNull(digest, "digest");
  }
}
