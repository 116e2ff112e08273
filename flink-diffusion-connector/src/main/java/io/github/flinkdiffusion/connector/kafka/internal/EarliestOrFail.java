/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import java.util.Collection;
import java.util.Map;
import org.apache.flink.annotation.Internal;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.kafka.clients.consumer.OffsetResetStrategy;
import org.apache.kafka.common.TopicPartition;

/**
 * The oldest record to begin with, and a failure when a checkpoint's position is gone. Flink's own
 * {@code earliest()} has the consumer jump to the oldest record in that case too, silently, and
 * what the topic's retention deleted in between was never done. It also puts no offset but the word
 * "earliest" into the checkpoints before the first record, which means another record later; here
 * it is a number from the start.
 */
@Internal
public final class EarliestOrFail implements OffsetsInitializer {
  private static final long serialVersionUID = 1L;

  @Override
  public Map<TopicPartition, Long> getPartitionOffsets(
      Collection<TopicPartition> partitions, PartitionOffsetsRetriever retriever) {
    return retriever.beginningOffsets(partitions);
  }

  @Override
  public OffsetResetStrategy getAutoOffsetResetStrategy() {
    return OffsetResetStrategy.NONE;
  }
}
