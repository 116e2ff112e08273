package io.github.flinkdiffusion.ops.table;

/** A row or a call has no result within its time limit; others are not affected. */
final class RowTimeoutException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  RowTimeoutException(String message) {
    super(message);
  }
}
