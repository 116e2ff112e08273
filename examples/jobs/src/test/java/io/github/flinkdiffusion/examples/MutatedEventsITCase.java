/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A share of {@link MutatedEvents}. More of them, in a small heap:
 *
 * <pre>mvn -pl examples/jobs -am verify -Dtest=none -Dit.test=MutatedEventsITCase \
 *     -Dsurefire.failIfNoSpecifiedTests=false -Dfailsafe.failIfNoSpecifiedTests=false \
 *     -Dmutated.events=100000 -Dmutated.seed=2 \
 *     -Dtest.jvm.args="-Xmx512m -Dai.djl.offline=true -Djava.awt.headless=true"</pre>
 */
class MutatedEventsITCase {
  private static final int EVENTS = Integer.getInteger("mutated.events", 1_000);
  private static final long SEED = Long.getLong("mutated.seed", 1);

  @Test
  void eachEventIsAnsweredOnceWhateverIsInIt(@TempDir Path folder) throws Exception {
    try (EmbeddedKafka kafka = EmbeddedKafka.builder().start()) {
      MutatedEvents.Counts counts = new MutatedEvents(kafka, SEED, folder).run(EVENTS);

      assertThat(counts.running()).as("the job runs").isTrue();
      assertThat(counts.missing()).isZero();
      assertThat(counts.twice()).isZero();
      assertThat(counts.images()).as("good ones are among them").isGreaterThan(EVENTS / 5);
      assertThat(counts.failures()).as("bad ones are among them").isGreaterThan(EVENTS / 5);
    }
  }
}
