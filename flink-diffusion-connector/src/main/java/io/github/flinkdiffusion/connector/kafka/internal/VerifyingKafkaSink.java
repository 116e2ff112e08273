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
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.StatefulSinkWriter;
import org.apache.flink.api.connector.sink2.SupportsCommitter;
import org.apache.flink.api.connector.sink2.SupportsWriterState;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.connector.kafka.sink.KafkaCommittable;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.KafkaWriterState;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.streaming.api.connector.sink2.CommittableMessage;
import org.apache.flink.streaming.api.connector.sink2.SupportsPostCommitTopology;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.lineage.LineageVertex;
import org.apache.flink.streaming.api.lineage.LineageVertexProvider;

/**
 * Flink's exactly-once Kafka sink with a {@link VerifyingCommitter} and a {@link ClosingWriter}.
 * All else, state included, is Flink's, so a savepoint of the one can be read by the other.
 *
 * @param <T> what is written
 */
@Internal
public final class VerifyingKafkaSink<T>
    implements Sink<T>,
        SupportsWriterState<T, KafkaWriterState>,
        SupportsCommitter<KafkaCommittable>,
        SupportsPostCommitTopology<KafkaCommittable>,
        LineageVertexProvider {
  private static final long serialVersionUID = 1L;

  private final String what;
  private final KafkaSink<T> sink;
  private final Properties client;
  private final boolean tolerateLoss;

  /**
   * @param what the sink, for messages
   * @param sink with exactly-once delivery
   * @param client the settings of its producers
   * @param tolerateLoss whether a lost transaction is only logged
   */
  public VerifyingKafkaSink(
      String what, KafkaSink<T> sink, Properties client, boolean tolerateLoss) {
    this.what = what;
    this.sink = sink;
    this.client = client;
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

  @Override
  public SimpleVersionedSerializer<KafkaWriterState> getWriterStateSerializer() {
    return sink.getWriterStateSerializer();
  }

  @Override
  public SimpleVersionedSerializer<KafkaCommittable> getCommittableSerializer() {
    return sink.getCommittableSerializer();
  }

  @Override
  public void addPostCommitTopology(DataStream<CommittableMessage<KafkaCommittable>> committed) {
    sink.addPostCommitTopology(committed);
  }

  @Override
  public LineageVertex getLineageVertex() {
    return sink.getLineageVertex();
  }
}
