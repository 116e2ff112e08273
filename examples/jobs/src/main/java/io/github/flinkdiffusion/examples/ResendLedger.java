/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Uuid;

/**
 * Which failures were sent again, by their places in the failures topic. It stands in a compacted
 * topic of its own, written in the transaction that sends the request: so a failure is sent again
 * once, whatever the filters of a run and wherever a run ended. The failures topic is named by
 * Kafka's id, since one that was deleted and created anew begins at offset 0 again.
 */
final class ResendLedger {
  private static final int CHUNK = 1 << 20;

  private final Uuid failures;
  private final Map<Integer, Map<Long, BitSet>> sent = new HashMap<>();

  ResendLedger(Uuid failures) {
    this.failures = failures;
  }

  /** A record of the ledger's topic; those of other failures topics do not matter. */
  void add(byte[] key) {
    String[] parts = key == null ? new String[0] : new String(key, UTF_8).split("/");
    if (parts.length == 3 && parts[0].equals(failures.toString())) {
      add(Integer.parseInt(parts[1]), Long.parseLong(parts[2]));
    }
  }

  void add(int partition, long offset) {
    sent.computeIfAbsent(partition, p -> new HashMap<>())
        .computeIfAbsent(offset / CHUNK, c -> new BitSet())
        .set((int) (offset % CHUNK));
  }

  boolean contains(int partition, long offset) {
    BitSet chunk = sent.getOrDefault(partition, Map.of()).get(offset / CHUNK);
    return chunk != null && chunk.get((int) (offset % CHUNK));
  }

  ProducerRecord<byte[], byte[]> record(String ledger, int partition, long offset, String to) {
    return new ProducerRecord<>(
        ledger,
        "%s/%d/%d".formatted(failures, partition, offset).getBytes(UTF_8),
        to.getBytes(UTF_8));
  }
}
