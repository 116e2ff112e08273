/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

/** A request of the browser that is not done: a status of HTTP and a sentence for its user. */
final class Refusal extends Exception {
  private static final long serialVersionUID = 1L;

  private final int status;

  Refusal(int status, String message) {
    super(message);
    this.status = status;
  }

  static Refusal badRequest(String message, Object... values) {
    return new Refusal(400, message.formatted(values));
  }

  static Refusal notFound(String message, Object... values) {
    return new Refusal(404, message.formatted(values));
  }

  int status() {
    return status;
  }
}
