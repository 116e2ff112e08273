package io.github.flinkdiffusion.connector.kafka.internal;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Set;
import org.apache.flink.connector.kafka.source.split.KafkaPartitionSplit;
import org.apache.kafka.clients.consumer.OffsetResetStrategy;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Test;

class EarliestOrFailTest {
  @Test
  void startsWithTheOldestRecordAndNeverJumps() {
    TopicPartition partition = new TopicPartition("prompts", 0);
    EarliestOrFail offsets = new EarliestOrFail();
    assertThat(offsets.getPartitionOffsets(Set.of(partition), null))
        .containsEntry(partition, KafkaPartitionSplit.EARLIEST_OFFSET);
    assertThat(offsets.getAutoOffsetResetStrategy()).isEqualTo(OffsetResetStrategy.NONE);
  }
}
