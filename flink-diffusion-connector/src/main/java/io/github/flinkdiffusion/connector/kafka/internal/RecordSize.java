/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

/** What a record of Kafka takes up. */
final class RecordSize {
  /** Upper bound of what Kafka adds to key and value of a lone record: batch and record headers. */
  private static final int KAFKA_OVERHEAD_BYTES = 1024;

  private RecordSize() {}

  /**
   * @param key null for none
   */
  static long of(byte[] key, byte[] value) {
    return (long) value.length + (key == null ? 0 : key.length) + KAFKA_OVERHEAD_BYTES;
  }
}
