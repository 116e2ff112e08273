package io.github.flinkdiffusion.ops.quality;

/** Two things can not be compared; the message says which they are and what would be accepted. */
public final class QualityException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public QualityException(String message) {
    super(message);
  }
}
