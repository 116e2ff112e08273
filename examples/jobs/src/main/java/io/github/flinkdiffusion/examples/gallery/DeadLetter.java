/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

/**
 * A request that could not be done.
 *
 * @param place of the failure; text, for the page
 * @param id of the request, or null when its bytes could not be read
 * @param times how often it was sent again, before this failure
 * @param time when the record was written, in milliseconds since 1970-01-01 UTC
 * @param resent whether it was sent again after this failure, as far as is known here
 */
record DeadLetter(
    String place,
    String id,
    String reason,
    String message,
    String topic,
    int bytes,
    String times,
    long time,
    boolean resent) {

  DeadLetter sentAgain() {
    return new DeadLetter(place, id, reason, message, topic, bytes, times, time, true);
  }
}
