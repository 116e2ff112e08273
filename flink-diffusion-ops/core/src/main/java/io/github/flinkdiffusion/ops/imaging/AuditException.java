package io.github.flinkdiffusion.ops.imaging;

/** An audit record is damaged, or does not hold what is asked of it. */
public final class AuditException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public AuditException(String message) {
    super(message);
  }

  public AuditException(String message, Throwable cause) {
    super(message, cause);
  }
}
