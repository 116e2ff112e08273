/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

/** Why the gallery cannot start, for the person who starts it. */
public final class GalleryException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public GalleryException(String message) {
    super(message);
  }

  public GalleryException(String message, Throwable cause) {
    super(message, cause);
  }
}
