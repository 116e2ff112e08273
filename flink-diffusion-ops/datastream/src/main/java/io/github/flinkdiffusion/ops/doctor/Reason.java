/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import java.util.concurrent.ExecutionException;

/** Why something failed, in one line. */
final class Reason {
  private static final int MAX_LENGTH = 500;

  private Reason() {}

  static String of(Throwable failure) {
    Throwable cause = failure;
    while (cause instanceof ExecutionException && cause.getCause() != null) {
      cause = cause.getCause();
    }
    String message = cause.getMessage();
    String type = cause.getClass().getSimpleName();
    boolean ours = cause.getClass().getName().startsWith("io.github.flinkdiffusion.");
    String text = message == null ? type : ours ? message : type + ": " + message;
    String line = text.strip().replaceAll("\\s+", " ");
    return line.length() <= MAX_LENGTH ? line : line.substring(0, MAX_LENGTH) + "...";
  }
}
