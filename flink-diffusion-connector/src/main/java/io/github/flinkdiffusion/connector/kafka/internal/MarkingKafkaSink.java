/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import java.io.IOException;
import java.time.Duration;
import java.util.Collection;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.StatefulSinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.KafkaWriterState;
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
public final class MarkingKafkaSink<T> extends KafkaSinkAround<T> {
  private static final long serialVersionUID = 1L;
  private static final Logger LOG = LoggerFactory.getLogger(MarkingKafkaSink.class);
  private static final Duration PATIENCE = Duration.ofSeconds(10);

  /**
   * @param sink with at-least-once delivery
   * @param client the settings of its producers, for the cluster that requests come from
   */
  public MarkingKafkaSink(KafkaSink<T> sink, Properties client) {
    super(sink, client);
  }

  @Override
  public SinkWriter<T> createWriter(WriterInitContext context) throws IOException {
    SinkWriter<T> writer = sink.createWriter(context);
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
          "Cannot look up the end of {}; all results of its requests are marked as possible"
              + " duplicates until the next restart: {}",
          partition,
          e.toString());
      return Long.MAX_VALUE;
    }
  }

  private static final class MarkingWriter<T> extends KafkaWriterAround<T> {
    private final Repetitions repetitions;

    MarkingWriter(SinkWriter<T> writer, Repetitions repetitions) {
      super(writer);
      this.repetitions = repetitions;
    }

    @Override
    public void write(T event, Context context) throws IOException, InterruptedException {
      super.write(repetitions.marked(event), context);
    }
  }
}
