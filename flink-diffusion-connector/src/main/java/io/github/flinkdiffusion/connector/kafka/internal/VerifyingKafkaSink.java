/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import java.io.IOException;
import java.util.Collection;
import java.util.Properties;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.connector.sink2.Committer;
import org.apache.flink.api.connector.sink2.CommitterInitContext;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.StatefulSinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.connector.kafka.sink.KafkaCommittable;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.KafkaWriterState;

/**
 * Flink's exactly-once Kafka sink with a {@link VerifyingCommitter} and a {@link ClosingWriter}.
 * All else, state included, is Flink's, so a savepoint of the one can be read by the other.
 *
 * @param <T> what is written
 */
@Internal
public final class VerifyingKafkaSink<T> extends KafkaSinkAround<T> {
  private static final long serialVersionUID = 1L;

  private final String what;
  private final boolean tolerateLoss;

  /**
   * @param what the sink, for messages
   * @param sink with exactly-once delivery
   * @param client the settings of its producers
   * @param tolerateLoss whether a lost transaction is only logged
   */
  public VerifyingKafkaSink(
      String what, KafkaSink<T> sink, Properties client, boolean tolerateLoss) {
    super(sink, client);
    this.what = what;
    this.tolerateLoss = tolerateLoss;
  }

  @Override
  public Committer<KafkaCommittable> createCommitter(CommitterInitContext context) {
    return new VerifyingCommitter(
        what, sink.createCommitter(context), new Transactions(client), tolerateLoss);
  }

  @Override
  public SinkWriter<T> createWriter(WriterInitContext context) throws IOException {
    WriterInMaking making = new WriterInMaking(context);
    try {
      return new ClosingWriter<>(sink.createWriter(making.context()));
    } catch (RuntimeException | Error e) {
      making.closeClients();
      throw e;
    }
  }

  @Override
  public StatefulSinkWriter<T, KafkaWriterState> restoreWriter(
      WriterInitContext context, Collection<KafkaWriterState> state) throws IOException {
    WriterInMaking making = new WriterInMaking(context);
    try {
      return new ClosingWriter<>(sink.restoreWriter(making.context(), state));
    } catch (RuntimeException | Error e) {
      making.closeClients();
      throw e;
    }
  }
}
