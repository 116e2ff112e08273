/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.examples.gallery.Changes.Change;
import org.junit.jupiter.api.Test;

class ChangesTest {
  private final Changes changes = new Changes(3);

  @Test
  void theyAreNumberedInTheirOrder() throws Exception {
    changes.add("a", "1");
    changes.add("b", "2");
    assertThat(changes.after(0, 0))
        .containsExactly(new Change(1, "a", "1"), new Change(2, "b", "2"));
    assertThat(changes.after(1, 0)).containsExactly(new Change(2, "b", "2"));
    assertThat(changes.after(2, 0)).isEmpty();
  }

  @Test
  void aReaderWhoseNextChangeIsGoneIsToldSo() throws Exception {
    for (int i = 1; i <= 5; i++) {
      changes.add("a", Integer.toString(i));
    }
    assertThat(changes.reachesBackTo(1)).isFalse();
    assertThat(changes.reachesBackTo(2)).isTrue();
    assertThat(changes.reachesBackTo(5)).isTrue();
    assertThat(changes.reachesBackTo(6)).isFalse();
    assertThat(changes.after(2, 0)).extracting(Change::number).containsExactly(3L, 4L, 5L);
  }

  @Test
  void aReaderThatWaitsGetsTheNextOne() throws Exception {
    Thread writer = new Thread(() -> changes.add("late", "{}"));
    writer.start();
    assertThat(changes.after(0, 60_000)).extracting(Change::type).containsExactly("late");
    writer.join();
  }
}
