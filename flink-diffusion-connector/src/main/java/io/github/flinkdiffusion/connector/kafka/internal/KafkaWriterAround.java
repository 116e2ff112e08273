/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import java.io.IOException;
import java.util.Collection;
import java.util.List;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.connector.sink2.CommittingSinkWriter;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.StatefulSinkWriter;
import org.apache.flink.connector.kafka.sink.KafkaCommittable;
import org.apache.flink.connector.kafka.sink.KafkaWriterState;

/**
 * Flink's Kafka writer, which commits and has state with every delivery guarantee, though its type
 * does not say so.
 *
 * @param <T> what is written
 */
abstract class KafkaWriterAround<T>
    implements StatefulSinkWriter<T, KafkaWriterState>, CommittingSinkWriter<T, KafkaCommittable> {
  final SinkWriter<T> writer;

  /**
   * @param writer made by Flink's Kafka sink
   */
  KafkaWriterAround(SinkWriter<T> writer) {
    this.writer = writer;
  }

  @Override
  public void write(T element, Context context) throws IOException, InterruptedException {
    writer.write(element, context);
  }

  @Override
  public void flush(boolean endOfInput) throws IOException, InterruptedException {
    writer.flush(endOfInput);
  }

  @Override
  public void writeWatermark(Watermark watermark) throws IOException, InterruptedException {
    writer.writeWatermark(watermark);
  }

  @Override
  @SuppressWarnings("unchecked") // see above
  public Collection<KafkaCommittable> prepareCommit() throws IOException, InterruptedException {
    return ((CommittingSinkWriter<T, KafkaCommittable>) writer).prepareCommit();
  }

  @Override
  @SuppressWarnings("unchecked") // see above
  public List<KafkaWriterState> snapshotState(long checkpointId) throws IOException {
    return ((StatefulSinkWriter<T, KafkaWriterState>) writer).snapshotState(checkpointId);
  }

  @Override
  public void close() throws Exception {
    writer.close();
  }
}
