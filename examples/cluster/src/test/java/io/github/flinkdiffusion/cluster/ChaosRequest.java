/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

/**
 * A record for a job, and what has to come of it.
 *
 * @param key by which the answer is found: the request's id, or null for bytes that are no request,
 *     whose failure names their place in Kafka
 * @param expected {@link #IMAGE}, {@link #REFERENCE}, {@link #FAILURE} or {@link #ANY}; for the
 *     first two, a colon and the number of the template follow
 */
record ChaosRequest(ChaosJob job, String key, String expected, byte[] value) {
  /** The header of the record in Kafka that says what is expected; jobs do not look at it. */
  static final String HEADER = "expected";

  /** The same image as undisturbed. */
  static final String IMAGE = "image";

  /** The image that others are compared with. */
  static final String REFERENCE = "reference";

  static final String FAILURE = "failure";

  /** One answer, whichever: the bytes were changed and are a request all the same. */
  static final String ANY = "any";
}
