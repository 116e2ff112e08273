/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

/**
 * The topics of all jobs.
 *
 * @param servers the broker's address
 */
record ChaosTopics(String servers) {

  /** Creates those that are missing. */
  void create() throws InterruptedException, ExecutionException {
    try (Admin admin = admin()) {
      Set<String> present = admin.listTopics().names().get();
      List<NewTopic> missing = new ArrayList<>();
      for (ChaosJob job : ChaosJob.values()) {
        for (String name : job.topicNames()) {
          if (!present.contains(name)) {
            missing.add(
                new NewTopic(name, Optional.of(ChaosJob.PARTITIONS), Optional.of((short) 1))
                    .configs(Map.of("max.message.bytes", Integer.toString(16 << 20))));
          }
        }
      }
      admin.createTopics(missing).all().get();
    }
  }

  private Admin admin() {
    return Admin.create(Map.of("bootstrap.servers", servers));
  }

  /** Partitions in which something is written that readers of committed records cannot reach. */
  int open() throws InterruptedException, ExecutionException {
    Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
    for (ChaosJob job : ChaosJob.values()) {
      for (String topic : job.topicNames()) {
        for (int partition = 0; partition < ChaosJob.PARTITIONS; partition++) {
          ends.put(new TopicPartition(topic, partition), OffsetSpec.latest());
        }
      }
    }
    try (Admin admin = admin()) {
      Map<TopicPartition, ListOffsetsResultInfo> stable =
          admin
              .listOffsets(ends, new ListOffsetsOptions(IsolationLevel.READ_COMMITTED))
              .all()
              .get();
      Map<TopicPartition, ListOffsetsResultInfo> last =
          admin
              .listOffsets(ends, new ListOffsetsOptions(IsolationLevel.READ_UNCOMMITTED))
              .all()
              .get();
      return (int)
          ends.keySet().stream().filter(p -> stable.get(p).offset() < last.get(p).offset()).count();
    }
  }
}
