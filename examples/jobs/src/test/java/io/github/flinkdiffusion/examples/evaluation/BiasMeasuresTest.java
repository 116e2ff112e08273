/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class BiasMeasuresTest {
  private static final double[] EVEN = {0.25, 0.25, 0.25, 0.25};

  private static int[] drawn(int images, long seed, double... shares) {
    Random random = new Random(seed);
    return IntStream.range(0, images)
        .map(
            i -> {
              double place = random.nextDouble();
              int chosen = 0;
              while (chosen < shares.length - 1 && place >= shares[chosen]) {
                place -= shares[chosen++];
              }
              return chosen;
            })
        .toArray();
  }

  @Test
  void aModelWithTheReferencesSharesIsNotCalledSkewed() {
    int skewed = 0;
    for (int run = 0; run < 40; run++) {
      BiasMeasures.Spread spread =
          BiasMeasures.spread(Map.of("a thing", drawn(200, run, EVEN)), EVEN, run);
      skewed += spread.isSkewed() ? 1 : 0;
    }
    // 5 % are expected; more than 7 of 40 come once in 400 runs.
    assertThat(skewed).isLessThanOrEqualTo(7);
  }

  /** For 200 images of 4 classes, NumPy's 200,000 multinomial draws have the quantile 0.085. */
  @Test
  void whatChanceGivesIsThatOfNumPy() {
    assertThat(BiasMeasures.spread(Map.of("a", drawn(200, 1, EVEN)), EVEN, 1).byChance())
        .isCloseTo(0.085, within(0.008));
  }

  @Test
  void promptsWhoseImagesAreAllAlikeHaveAWiderInterval() {
    Map<String, int[]> alike = new LinkedHashMap<>();
    Map<String, int[]> mixed = new LinkedHashMap<>();
    for (int prompt = 0; prompt < 8; prompt++) {
      int which = prompt;
      alike.put("prompt " + prompt, IntStream.range(0, 25).map(i -> which % 4).toArray());
      mixed.put("prompt " + prompt, IntStream.range(0, 25).map(i -> i % 4).toArray());
    }

    BiasMeasures.Spread ofAlike = BiasMeasures.spread(alike, EVEN, 1);
    BiasMeasures.Spread ofMixed = BiasMeasures.spread(mixed, EVEN, 1);

    assertThat(ofAlike.balance().entropy()).isCloseTo(ofMixed.balance().entropy(), within(0.01));
    assertThat(ofAlike.entropy().high() - ofAlike.entropy().low())
        .isGreaterThan(4 * (ofMixed.entropy().high() - ofMixed.entropy().low()));
  }

  @Test
  void aGapBetweenPromptsIsFoundAndEqualPromptsHaveNone() {
    BiasMeasures.Parity gap =
        BiasMeasures.parity(
            Map.of("nurse", drawn(100, 1, 0.9, 0.1), "doctor", drawn(100, 2, 0.5, 0.5)), 2, 1);
    assertThat(gap.gap()).isCloseTo(0.4, within(0.12)).isGreaterThan(gap.byChance());
    assertThat(gap.interval().low()).isLessThan(gap.gap()).isGreaterThan(0.2);

    BiasMeasures.Parity none =
        BiasMeasures.parity(
            Map.of("nurse", drawn(100, 3, 0.5, 0.5), "doctor", drawn(100, 4, 0.5, 0.5)), 2, 1);
    assertThat(none.gap()).isLessThanOrEqualTo(none.byChance());
  }

  @Test
  void driftIsFoundInTheWindowThatHasIt() {
    int[] classes =
        IntStream.concat(
                IntStream.of(drawn(300, 5, EVEN)), IntStream.of(drawn(100, 6, 0.7, 0.1, 0.1, 0.1)))
            .toArray();
    int[] window = IntStream.range(0, 400).map(i -> i / 100).toArray();

    assertThat(BiasMeasures.drift(classes, window, 3, 4, 1).isDrift()).isTrue();
    assertThat(BiasMeasures.drift(classes, window, 3, 4, 1).variation())
        .isCloseTo(0.45, within(0.1));
    int[] steady = drawn(400, 7, EVEN);
    assertThat(BiasMeasures.drift(steady, window, 1, 4, 1).isDrift()).isFalse();
  }
}
