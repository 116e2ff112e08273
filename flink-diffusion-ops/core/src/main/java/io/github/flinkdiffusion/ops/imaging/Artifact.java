/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

/**
 * An encoded image of a result: in memory or, when it is large, in a file that whoever asked for it
 * deletes.
 *
 * @param bytes of it, if in memory
 * @param file with it, if not
 */
@Internal
public record Artifact(String mediaType, Optional<byte[]> bytes, Optional<Path> file) {
  public Artifact {
    Objects.requireNonNull(mediaType, "mediaType");
    if (bytes.isPresent() == file.isPresent()) {
      throw new IllegalArgumentException("An artifact is in memory or in a file.");
    }
  }

  static Artifact of(byte[] bytes, String mediaType) {
    return new Artifact(mediaType, Optional.of(bytes), Optional.empty());
  }

  static Artifact of(Path file, String mediaType) {
    return new Artifact(mediaType, Optional.empty(), Optional.of(file));
  }
}
