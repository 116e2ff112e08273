package io.github.flinkdiffusion.ops.tokenizer;

/** A tokenizer's files can not be used; the message names file, entry and what is accepted. */
public final class TokenizerException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public TokenizerException(String message) {
    super(message);
  }

  public TokenizerException(String message, Throwable cause) {
    super(message, cause);
  }
}
