/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.OptionalLong;
import java.util.Set;
import org.apache.flink.connector.kafka.sink.KafkaCommittable;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionState;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class FateTest {
  private static final long PRODUCER = 7;
  private static final short EPOCH = 20;
  private static final KafkaCommittable PREPARED =
      new KafkaCommittable(PRODUCER, EPOCH, "posters/images/images-0-1", null);

  private static Fate fate(TransactionState state, long producer, int epoch) {
    return Fate.of(
        PREPARED,
        new TransactionDescription(
            0, state, producer, epoch, 1000, OptionalLong.empty(), Set.of()));
  }

  @Test
  void isOpenUntilSomethingHappens() {
    assertThat(fate(TransactionState.ONGOING, PRODUCER, EPOCH)).isEqualTo(Fate.OPEN);
  }

  @ParameterizedTest
  @CsvSource({
    "PREPARE_COMMIT, 0", // being committed
    "COMPLETE_COMMIT, 0", // before Kafka 4.0, a commit leaves the epoch as it is
    "COMPLETE_COMMIT, 1", // since then it does not
    "ONGOING, 1", // the writer has begun the next transaction under this id
    "EMPTY, 2", // or is about to
    "COMPLETE_ABORT, 2", // or the next one was aborted
  })
  void wasCommittedWhenTheIdHasGoneOn(TransactionState state, int epochsSince) {
    assertThat(fate(state, PRODUCER, EPOCH + epochsSince)).isEqualTo(Fate.COMMITTED);
  }

  @ParameterizedTest
  @CsvSource({
    "PREPARE_EPOCH_FENCE, 0",
    "PREPARE_ABORT, 0",
    "PREPARE_ABORT, 1",
    "COMPLETE_ABORT, 1",
  })
  void wasAbortedWhenTheNextThingIsAnAbort(TransactionState state, int epochsSince) {
    assertThat(fate(state, PRODUCER, EPOCH + epochsSince)).isEqualTo(Fate.ABORTED);
  }

  @Test
  void goesOnUnderAnotherProducerWhenTheEpochsAreUsedUp() {
    assertThat(fate(TransactionState.COMPLETE_ABORT, PRODUCER + 1, 0)).isEqualTo(Fate.ABORTED);
    assertThat(fate(TransactionState.COMPLETE_COMMIT, PRODUCER + 1, 0)).isEqualTo(Fate.COMMITTED);
    assertThat(fate(TransactionState.ONGOING, PRODUCER + 1, 0)).isEqualTo(Fate.COMMITTED);
    assertThat(fate(TransactionState.COMPLETE_ABORT, PRODUCER + 1, 1)).isEqualTo(Fate.COMMITTED);
  }
}
