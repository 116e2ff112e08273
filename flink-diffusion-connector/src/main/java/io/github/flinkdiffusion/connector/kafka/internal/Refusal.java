/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import java.io.Serializable;
import org.apache.flink.annotation.Internal;

/** Makes the failure that is written in place of an event that is too large for Kafka. */
@Internal
public interface Refusal<T> extends Serializable {
  /**
   * @param size what the event's record would have, as a sentence of the message
   */
  FailureEvent of(T event, String size);
}
