/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import java.util.Objects;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * One version of a model of the {@link ModelList}.
 *
 * @param label what events call it
 * @param folder where it is, or its name on the hub; empty for the one that the job's options name
 * @param digest of its content; empty as long as it is not known
 */
@Internal
public record ModelVersion(String label, Optional<String> folder, Optional<String> digest) {
  /** Label of the version that the job's options name. */
  public static final String CONFIGURED = "configured";

  public ModelVersion {
    Objects.requireNonNull(label, "label");
    Objects.requireNonNull(folder, "folder");
    Objects.requireNonNull(digest, "digest");
  }

  /** The one that the job's options name. */
  public static ModelVersion configured() {
    return new ModelVersion(CONFIGURED, Optional.empty(), Optional.empty());
  }

  /** The same, when its digest has become known. */
  public ModelVersion withDigest(String known) {
    return new ModelVersion(label, folder, Optional.of(known));
  }

  boolean has(String wanted) {
    return digest.filter(wanted::equals).isPresent();
  }

  /** What it is called in a log. */
  @Override
  public String toString() {
    return label
        + folder.map(place -> " in " + place).orElse("")
        + digest.map(known -> " (digest " + known + ")").orElse("");
  }
}
