/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.image;

import io.github.flinkdiffusion.ops.failure.ConcernsOneRequest;
import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.util.Set;
import org.apache.flink.annotation.Internal;

/**
 * A picture cannot be read, written or shown; the message says why, with the value found and what
 * is accepted.
 */
@Internal
public final class ImageException extends FlinkDiffusionException implements ConcernsOneRequest {
  private static final long serialVersionUID = 1L;

  /** What the operating system says of a disk, not of a file's content. */
  private static final Set<String> TROUBLE =
      Set.of(
          "Input/output error",
          "No space left on device",
          "Disk quota exceeded",
          "Too many open files",
          "Stale file handle",
          "Read-only file system",
          "Connection timed out",
          "Transport endpoint is not connected");

  public ImageException(String message) {
    super(message);
  }

  public ImageException(String message, Throwable cause) {
    super(message, cause);
  }

  @Override
  public boolean mayPass() {
    for (Throwable cause = getCause(); cause != null; cause = cause.getCause()) {
      if (cause instanceof FileSystemException
          || cause instanceof IOException
              && cause.getMessage() != null
              && TROUBLE.contains(cause.getMessage())) {
        return true;
      }
    }
    return false;
  }
}
