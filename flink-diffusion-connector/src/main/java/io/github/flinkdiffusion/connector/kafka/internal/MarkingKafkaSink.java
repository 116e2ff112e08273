/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import java.io.IOException;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.connector.sink2.Committer;
import org.apache.flink.api.connector.sink2.CommitterInitContext;
import org.apache.flink.api.connector.sink2.CommittingSinkWriter;
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
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Flink's at-least-once Kafka sink that marks what it may have written before. State is Flink's, as
 * it is that of {@link VerifyingKafkaSink}, so a savepoint of the one can be read by the other.
 *
 * @param <T> what is written
 */
@Internal
public final class MarkingKafkaSink<T>
    implements Sink<T>,
        SupportsWriterState<T, KafkaWriterState>,
        SupportsCommitter<KafkaCommittable>,
        SupportsPostCommitTopology<KafkaCommittable>,
        LineageVertexProvider {
  private static final long serialVersionUID = 1L;
  private static final Logger LOG = LoggerFactory.getLogger(MarkingKafkaSink.class);
  private static final Duration PATIENCE = Duration.ofSeconds(10);

  private final KafkaSink<T> sink;
  private final Properties client;

  /**
   * @param sink with at-least-once delivery
   * @param client the settings of its producers, for the cluster that requests come from
   */
  public MarkingKafkaSink(KafkaSink<T> sink, Properties client) {
    this.sink = sink;
    this.client = client;
  }

  @Override
  public SinkWriter<T> createWriter(WriterInitContext context) throws IOException {
    // Flink's writer keeps state in every mode.
    StatefulSinkWriter<T, KafkaWriterState> writer =
        (StatefulSinkWriter<T, KafkaWriterState>) sink.createWriter(context);
    boolean again =
        context.getTaskInfo().getAttemptNumber() > 0
            || context.getRestoredCheckpointId().isPresent();
    return again ? new MarkingWriter<>(writer, new Repetitions(this::end)) : writer;
  }

  @Override
  public StatefulSinkWriter<T, KafkaWriterState> restoreWriter(
      WriterInitContext context, Collection<KafkaWriterState> state) throws IOException {
    return new MarkingWriter<>(sink.restoreWriter(context, state), new Repetitions(this::end));
  }

  /** Where nobody answers, every request may have been there. */
  private long end(TopicPartition partition) {
    try (Admin admin = Admin.create(AdminSettings.of(client, PATIENCE))) {
      return admin
          .listOffsets(Map.of(partition, OffsetSpec.latest()))
          .partitionResult(partition)
          .get()
          .offset();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return Long.MAX_VALUE;
    } catch (ExecutionException | RuntimeException e) {
      LOG.warn(
          "Cannot look up where {} ends; all results of its requests are marked as possible duplicates until the next restart: {}",
          partition,
          e.toString());
      return Long.MAX_VALUE;
    }
  }

  @Override
  public Committer<KafkaCommittable> createCommitter(CommitterInitContext context) {
    return sink.createCommitter(context);
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

  private static final class MarkingWriter<T>
      implements StatefulSinkWriter<T, KafkaWriterState>,
          CommittingSinkWriter<T, KafkaCommittable> {
    private final StatefulSinkWriter<T, KafkaWriterState> writer;
    private final Repetitions repetitions;

    MarkingWriter(StatefulSinkWriter<T, KafkaWriterState> writer, Repetitions repetitions) {
      this.writer = writer;
      this.repetitions = repetitions;
    }

    @Override
    public void write(T event, Context context) throws IOException, InterruptedException {
      writer.write(repetitions.marked(event), context);
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
    @SuppressWarnings("unchecked") // Flink's writer is one in every mode
    public Collection<KafkaCommittable> prepareCommit() throws IOException, InterruptedException {
      return ((CommittingSinkWriter<T, KafkaCommittable>) writer).prepareCommit();
    }

    @Override
    public List<KafkaWriterState> snapshotState(long checkpointId) throws IOException {
      return writer.snapshotState(checkpointId);
    }

    @Override
    public void close() throws Exception {
      writer.close();
    }
  }
}
