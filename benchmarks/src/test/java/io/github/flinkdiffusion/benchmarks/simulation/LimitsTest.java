/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.groups.Tuple.tuple;

import java.util.List;
import org.junit.jupiter.api.Test;

class LimitsTest {
  @Test
  void ordersWhatIsMetByTheNumberOfDevices() {
    // A device writes 100 bytes/s and saves 10 x 20 bytes every 5 seconds.
    Limits.Assumptions assumptions =
        new Limits.Assumptions(2, 50, 20, 10, 5, 400, 1000, 3, 500, 3, 6, 2);

    List<Limits.Limit> limits = Limits.of(assumptions);

    assertThat(limits)
        .extracting(Limits.Limit::what, Limits.Limit::devices, Limits.Limit::picturesPerSecond)
        .containsExactly(
            tuple("Brokers' bytes", 5.0, 10.0),
            tuple("One partition's bytes", 10.0, 20.0),
            tuple("Bytes of a checkpoint", 10.0, 20.0),
            tuple("Transactions a checkpoint", 15.0, 30.0));
  }
}
