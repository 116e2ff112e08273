/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.format;

import io.github.flinkdiffusion.connector.event.UndecodableEventException;
import org.apache.flink.annotation.Internal;

/**
 * Reads events of one kind in one format. Not for use by several threads.
 *
 * @param <T> the event
 */
@Internal
public interface EventReader<T> {
  /**
   * The event in these bytes.
   *
   * @param value of a Kafka record
   * @param idOfRecord the request's id where the value has none
   * @throws UndecodableEventException when they are no such event; the sentence is for the sender
   * @throws RegistryException when the schema registry cannot be asked, which may pass
   */
  T read(byte[] value, String idOfRecord) throws UndecodableEventException;
}
