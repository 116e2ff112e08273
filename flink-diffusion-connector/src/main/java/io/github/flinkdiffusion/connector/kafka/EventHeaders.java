/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import org.apache.flink.annotation.PublicEvolving;
import org.jspecify.annotations.NullMarked;

/** Headers of Kafka records that this project writes. */
@NullMarked
@PublicEvolving
public final class EventHeaders {
  /** The id of a request whose value has none, where it was sent again; UTF-8. */
  public static final String ID = "diffusion-id";

  /** How often a request was sent again after a failure; digits. */
  public static final String RESENT = "diffusion-resent";

  /**
   * {@code possible} in a record that may have been written before: with at-least-once delivery,
   * after a restart.
   */
  public static final String DUPLICATE = "diffusion-duplicate";

  private EventHeaders() {}
}
