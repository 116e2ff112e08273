/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.payload;

import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/**
 * Image bytes that could not be read or stored. The message is a sentence for whoever sent the
 * request: what was being done, with which file, what is wrong with it and what would be accepted.
 */
@NullMarked
@PublicEvolving
public final class PayloadException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What kind of trouble it is, hence whether trying again can help. */
  public enum Kind {
    /** The job's settings are not accepted. */
    SETTINGS,
    /** The reference is not accepted: no URI, outside of the allowed prefixes, too large. */
    REFUSED,
    /** There is no such file. */
    MISSING,
    /** The file's bytes are not those that the reference describes. */
    DAMAGED,
    /** The file system did not do what it was asked. The only kind that may pass. */
    UNAVAILABLE
  }

  /** What kind of trouble it is. */
  private final Kind kind;

  PayloadException(Kind kind, String message) {
    super(message);
    this.kind = kind;
  }

  PayloadException(Kind kind, String message, Throwable cause) {
    super(message, cause);
    this.kind = kind;
  }

  /** The kind of trouble. */
  public Kind kind() {
    return kind;
  }

  /** True when the same call may succeed later, so that failing the job can be the better way. */
  public boolean mayPass() {
    return kind == Kind.UNAVAILABLE;
  }
}
