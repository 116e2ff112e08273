/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import static java.nio.charset.StandardCharsets.UTF_8;

import org.apache.flink.annotation.Internal;

/** Keys of Kafka records. */
@Internal
public final class Keys {
  private Keys() {}

  /** An event's id as key: all events of one request share a partition. Null for null. */
  public static byte[] utf8(String id) {
    return id == null ? null : id.getBytes(UTF_8);
  }
}
