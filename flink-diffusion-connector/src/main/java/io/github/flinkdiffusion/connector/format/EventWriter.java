/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import org.apache.flink.annotation.Internal;

/**
 * Writes events of one kind in one format. Not for use by several threads.
 *
 * @param <T> the event
 */
@Internal
public interface EventWriter<T> {
  /**
   * The event as the value of a Kafka record.
   *
   * @throws RegistryException when the schema registry cannot be asked, or refuses the schema
   */
  byte[] write(T event);
}
