/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.event.VoteChoice;
import io.github.flinkdiffusion.connector.event.VoteCriterion;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import io.github.flinkdiffusion.connector.event.VoteSubject;
import io.github.flinkdiffusion.examples.gallery.Tally.Row;
import org.junit.jupiter.api.Test;

class TallyTest {
  private static final VoteSubject REAL = subject(true, "");
  private static final VoteSubject SMALL = subject(false, "small");
  private static final VoteSubject ZEBRA = subject(false, "zebra");

  private final Tally tally = new Tally();

  @Test
  void theSideOnWhichAnImageStoodDoesNotMatter() {
    vote(SMALL, REAL, VoteChoice.FIRST);
    vote(REAL, SMALL, VoteChoice.SECOND);
    vote(REAL, SMALL, VoteChoice.FIRST);
    vote(REAL, SMALL, VoteChoice.TIE);
    vote(ZEBRA, SMALL, VoteChoice.FIRST);
    vote(ZEBRA, REAL, VoteChoice.SECOND);
    assertThat(tally.rows())
        .containsExactlyInAnyOrder(
            new Row("REALISM", "small", "real", false, 2, 1, 1),
            new Row("REALISM", "small", "zebra", false, 0, 0, 1),
            new Row("REALISM", "zebra", "real", false, 0, 0, 1));
  }

  @Test
  void votesAmongOneModelsImagesSayNothingOfIt() {
    vote(SMALL, SMALL, VoteChoice.FIRST);
    assertThat(tally.rows()).allMatch(Row::same);
  }

  @Test
  void anAnswerOfANewerVersionIsNotCounted() {
    vote(SMALL, REAL, VoteChoice.UNKNOWN);
    assertThat(tally.rows()).isEmpty();
  }

  private void vote(VoteSubject first, VoteSubject second, VoteChoice choice) {
    tally.add(
        VoteEvent.newBuilder()
            .setId("v")
            .setCriterion(VoteCriterion.REALISM)
            .setChoice(choice)
            .setFirst(first)
            .setSecond(second)
            .build());
  }

  private static VoteSubject subject(boolean real, String model) {
    return new VoteSubject(real, "id", "d", model, "", null, null);
  }
}
