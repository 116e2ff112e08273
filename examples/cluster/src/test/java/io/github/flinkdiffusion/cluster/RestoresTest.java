/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import java.util.List;
import org.junit.jupiter.api.Test;

class RestoresTest {
  private static final int TOTAL = 12;

  private static Answers.Step step(String id, int step, long time) {
    return new Answers.Step(id, step, TOTAL, time);
  }

  @Test
  void countsWhatWasDoneBetweenTheCheckpointAndTheFailureAndAgain() {
    // The checkpoint began at 20 and took the request at step 3, which was done a little later.
    assertThat(
            Restores.costs(
                List.of(new Restores.Restore(7, 20, 50)),
                List.of(step("a", 1, 10), step("a", 2, 19), step("a", 3, 21), step("a", 5, 40)),
                List.of(new Resumed("a", 3, 55)),
                id -> 0))
        .singleElement()
        .satisfies(
            cost -> {
              assertThat(cost.resumed()).isEqualTo(1);
              assertThat(cost.lostSteps()).isEqualTo(3);
              assertThat(cost.redoneSteps()).isEqualTo(2);
            });
  }

  @Test
  void noticesAStepThatIsDoneAgainThoughACheckpointHasIt() {
    assertThatThrownBy(
            () ->
                Restores.costs(
                    List.of(new Restores.Restore(7, 20, 50)),
                    List.of(step("a", 1, 10), step("a", 2, 19)),
                    List.of(new Resumed("a", 1, 55)),
                    id -> 0))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("Request a was at step 2")
        .hasMessageContaining("continued after step 1");
  }

  @Test
  void stepsThatAreDoneAgainForFeaturesAreCountedApart() {
    assertThat(
            Restores.costs(
                List.of(new Restores.Restore(7, 20, 50)),
                List.of(step("a", 1, 10), step("a", 2, 19), step("a", 4, 30)),
                List.of(new Resumed("a", 1, 55)),
                id -> 1))
        .extracting(
            Restores.Cost::lostSteps, Restores.Cost::redoneSteps, Restores.Cost::stepsForFeatures)
        .containsExactly(tuple(2, 2, 1));
  }

  @Test
  void whatWasReachedBeforeAnEarlierRestoreIsForgottenWithIt() {
    assertThat(
            Restores.costs(
                List.of(new Restores.Restore(7, 5, 20), new Restores.Restore(8, 40, 60)),
                List.of(step("a", 5, 10), step("a", 1, 30), step("a", 3, 39), step("a", 4, 50)),
                List.of(new Resumed("a", 0, 25), new Resumed("a", 3, 65)),
                id -> 0))
        .extracting(Restores.Cost::lostSteps, Restores.Cost::redoneSteps)
        .containsExactly(tuple(5, 5), tuple(1, 1));
  }
}
