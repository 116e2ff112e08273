/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class StepLedgerTest {
  private final StepLedger ledger = new StepLedger();

  @Test
  void stepsMadeAgainInALaterAttemptAreKnown() {
    StepLedger.Page first = ledger.page("job", "operator");
    for (int step = 1; step <= 7; step++) {
      assertThat(first.made("a", step)).isFalse();
    }
    StepLedger.Page second = ledger.page("job", "operator");
    assertThat(second.made("a", 5)).isTrue(); // the checkpoint was at 4
    assertThat(second.made("a", 6)).isTrue();
    assertThat(second.made("a", 7)).isTrue();
    assertThat(second.made("a", 8)).isFalse();
  }

  @Test
  void otherRequestsOperatorsAndJobsAreOthers() {
    ledger.page("job", "operator").made("a", 9);
    assertThat(ledger.page("job", "operator").made("b", 1)).isFalse();
    assertThat(ledger.page("job", "another operator").made("a", 1)).isFalse();
    assertThat(ledger.page("another job", "operator").made("a", 1)).isFalse();
  }

  @Test
  void theRequestsTouchedLastAreKept() {
    StepLedger.Page page = ledger.page("job", "operator");
    for (int request = 0; request < 10_001; request++) {
      page.made("r" + request, 3);
    }
    assertThat(page.made("r10000", 1)).isTrue();
    assertThat(page.made("r0", 1)).isFalse();
  }
}
