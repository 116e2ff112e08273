/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import org.apache.flink.api.connector.sink2.SinkWriter;

/** Flink's exactly-once writer, of which nothing is left when it is closed. */
final class ClosingWriter<T> extends KafkaWriterAround<T> {
  ClosingWriter(SinkWriter<T> writer) {
    super(writer);
  }

  @Override
  public void close() throws Exception {
    try {
      super.close();
    } finally {
      WriterClients.close(writer);
    }
  }
}
