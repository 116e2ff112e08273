/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Collection;
import java.util.Map;
import java.util.Set;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer.PartitionOffsetsRetriever;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetResetStrategy;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Test;

class EarliestOrFailTest {
  private static final TopicPartition PARTITION = new TopicPartition("prompts", 0);

  @Test
  void startsAtTheNumberOfTheOldestRecordAndNeverJumps() {
    EarliestOrFail offsets = new EarliestOrFail();
    assertThat(offsets.getPartitionOffsets(Set.of(PARTITION), new StartsAt17()))
        .containsExactly(Map.entry(PARTITION, 17L));
    assertThat(offsets.getAutoOffsetResetStrategy()).isEqualTo(OffsetResetStrategy.NONE);
  }

  private static final class StartsAt17 implements PartitionOffsetsRetriever {
    @Override
    public Map<TopicPartition, Long> beginningOffsets(Collection<TopicPartition> partitions) {
      return Map.of(PARTITION, 17L);
    }

    @Override
    public Map<TopicPartition, Long> committedOffsets(Collection<TopicPartition> partitions) {
      throw new UnsupportedOperationException();
    }

    @Override
    public Map<TopicPartition, Long> endOffsets(Collection<TopicPartition> partitions) {
      throw new UnsupportedOperationException();
    }

    @Override
    public Map<TopicPartition, OffsetAndTimestamp> offsetsForTimes(
        Map<TopicPartition, Long> timestamps) {
      throw new UnsupportedOperationException();
    }
  }
}
