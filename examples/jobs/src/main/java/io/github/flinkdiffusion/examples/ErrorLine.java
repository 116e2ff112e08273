/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.util.regex.Pattern;

/** An error as the one line that a user reads; the stack trace is for the log. */
final class ErrorLine {
  private static final String OURS = "io.github.flinkdiffusion.";
  private static final String FULL_DISK = "No space left on device";
  private static final int MAX_LENGTH = 600;

  /** Of an exception whose message somebody has put into another's. */
  private static final Pattern QUALIFIED_NAME =
      Pattern.compile("\\b(?:[a-z]\\w*\\.)+[A-Z]\\w*(?:Exception|Error): ");

  private ErrorLine() {}

  /**
   * The message of the outermost exception of this project in the chain of causes, since those are
   * written for a reader; without one, the root cause with its type.
   */
  static String of(Throwable error) {
    Throwable root = error;
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause.getClass().getName().startsWith(OURS) && cause.getMessage() != null) {
        return onOneLine(cause.getMessage());
      }
      root = cause;
    }
    if (String.valueOf(root.getMessage()).contains(FULL_DISK)) {
      // Results are written by this project's own code, which names the file.
      return "%s: temporary files are in %s; set TMPDIR to a folder with more space."
          .formatted(FULL_DISK, System.getProperty("java.io.tmpdir"));
    }
    String type = root.getClass().getSimpleName();
    return onOneLine(root.getMessage() == null ? type : type + ": " + root.getMessage());
  }

  private static String onOneLine(String message) {
    String line = QUALIFIED_NAME.matcher(message.strip()).replaceAll("").replaceAll("\\s+", " ");
    return line.length() <= MAX_LENGTH ? line : line.substring(0, MAX_LENGTH) + " ...";
  }
}
