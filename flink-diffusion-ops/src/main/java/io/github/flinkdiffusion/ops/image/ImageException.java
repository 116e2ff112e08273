package io.github.flinkdiffusion.ops.image;

/**
 * A picture can not be read, written or shown; the message says why, with the value found and what
 * is accepted.
 */
public final class ImageException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public ImageException(String message) {
    super(message);
  }

  public ImageException(String message, Throwable cause) {
    super(message, cause);
  }
}
