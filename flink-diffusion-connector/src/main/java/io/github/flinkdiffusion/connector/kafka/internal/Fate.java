/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import org.apache.flink.connector.kafka.sink.KafkaCommittable;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionState;

/**
 * What became of a transaction that a checkpoint has prepared.
 *
 * <p>A broker tells the last thing that happened under a transactional id. Which transaction that
 * was tells the producer's epoch: it goes up when a transaction is aborted from outside, and, since
 * Kafka 4.0, with the end of every transaction. So an abort one epoch behind the prepared one is
 * the abort of the prepared one. Anything further on was begun by a writer who had the id back, and
 * a writer gets an id back only after its transaction was committed.
 */
enum Fate {
  /** Still to be committed. */
  OPEN,
  /** Committed before, or about to be. */
  COMMITTED,
  /** Aborted, and its records with it. */
  ABORTED;

  static Fate of(KafkaCommittable prepared, TransactionDescription now) {
    // A producer whose epochs are used up goes on under a new id from epoch 0.
    int epochsSince =
        now.producerId() == prepared.getProducerId()
            ? now.producerEpoch() - prepared.getEpoch()
            : now.producerEpoch() + 1;
    if (epochsSince <= 1 && isAbort(now.state())) {
      return ABORTED;
    }
    return epochsSince <= 0 && now.state() == TransactionState.ONGOING ? OPEN : COMMITTED;
  }

  /**
   * Whether a later transaction than the prepared one is open under its id. A writer of this
   * attempt takes an id again only after its transaction was committed, so before the commit it can
   * only be one that an attempt before left open: it was begun after the checkpoint that the job
   * went back to. Flink's writer does not abort it either, since it takes all that is open under
   * this id for what is to be committed.
   */
  static boolean isAbandoned(KafkaCommittable prepared, TransactionDescription now) {
    return now.state() == TransactionState.ONGOING && of(prepared, now) == COMMITTED;
  }

  private static boolean isAbort(TransactionState state) {
    return switch (state) {
      case PREPARE_ABORT, COMPLETE_ABORT, PREPARE_EPOCH_FENCE -> true;
      default -> false;
    };
  }
}
