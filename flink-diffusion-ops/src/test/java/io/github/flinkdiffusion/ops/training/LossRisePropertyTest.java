/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.IntToDoubleFunction;
import java.util.random.RandomGenerator;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;

/** Losses that scatter by a factor, as those of batches with drawn noise levels do. */
class LossRisePropertyTest {
  private static final LossSpikes GUARD = LossSpikes.DEFAULT;
  private static final int CALM = 300;

  /** What a training remembers of its losses. */
  private record Seen(List<Float> losses, Optional<LossLevel> lowest) {
    static final Seen NOTHING = new Seen(List.of(), Optional.empty());

    Seen with(LossSpikes guard, float loss) {
      List<Float> after = guard.with(losses, loss);
      return new Seen(after, guard.lowest(lowest, after));
    }

    boolean rose(LossSpikes guard, float loss) {
      return guard.reason(losses, loss, 1).isPresent()
          || guard.risen(guard.with(losses, loss), lowest).isPresent();
    }
  }

  /** The first step that is found, of so many. */
  private static OptionalInt found(
      LossSpikes guard, int steps, double scatter, int seed, IntToDoubleFunction level) {
    RandomGenerator random = Batches.random(seed, 0);
    Seen seen = Seen.NOTHING;
    for (int step = 0; step < steps; step++) {
      float loss = (float) (level.applyAsDouble(step) * Math.exp(scatter * random.nextGaussian()));
      if (seen.rose(guard, loss)) {
        return OptionalInt.of(step);
      }
      seen = seen.with(guard, loss);
    }
    return OptionalInt.empty();
  }

  /** Of log-normal losses that scatter more than this, one in a long training is a single spike. */
  @Property(tries = 40)
  void lossesThatStayOrFallAreLeftAlone(
      @ForAll @IntRange(max = 1_000_000) int seed,
      @ForAll @DoubleRange(min = 0.01, max = 0.15) double scatter,
      @ForAll @DoubleRange(max = 4) double fall) {
    assertThat(found(GUARD, 1500, scatter, seed, step -> Math.exp(-fall * step / 1500))).isEmpty();
  }

  @Property(tries = 40)
  void lossesThatScatterMuchAndStayOrFallAreNoRise(
      @ForAll @IntRange(max = 1_000_000) int seed,
      @ForAll @DoubleRange(min = 0.01, max = 0.5) double scatter,
      @ForAll @DoubleRange(max = 4) double fall) {
    // Without the rule for single losses: one in some ten thousand is far above the others.
    LossSpikes risesAlone =
        new LossSpikes(GUARD.window(), Double.MAX_VALUE, GUARD.returns(), GUARD.rise());
    assertThat(found(risesAlone, 1500, scatter, seed, step -> Math.exp(-fall * step / 1500)))
        .isEmpty();
  }

  /** As a loss that rose from 0.20 to 0.65 within 60 steps, which no single step shows. */
  @Property(tries = 60)
  void aLossThatRisesToItsTripleIsFoundHoweverSlowly(
      @ForAll @IntRange(max = 1_000_000) int seed,
      @ForAll @DoubleRange(min = 0.01, max = 0.2) double scatter,
      @ForAll @IntRange(min = 1, max = 1000) int steps) {
    OptionalInt at =
        found(
            GUARD,
            CALM + steps + GUARD.window(),
            scatter,
            seed,
            step -> 0.2 * Math.pow(3.25, Math.max(0, Math.min(1, (step - CALM) / (double) steps))));
    assertThat(at).isPresent();
    assertThat(at.getAsInt())
        .isGreaterThanOrEqualTo(CALM)
        .isLessThan(CALM + steps + GUARD.window());
  }

  @Property(tries = 40)
  void fewOutliersAreNoRise(
      @ForAll @IntRange(max = 1_000_000) int seed, @ForAll @IntRange(min = 5, max = 40) int every) {
    // Without the rule for single losses, which sees them.
    RandomGenerator random = Batches.random(seed, 0);
    Seen seen = Seen.NOTHING;
    for (int step = 0; step < 600; step++) {
      float loss = (float) ((step % every == 0 ? 10 : 1) + 0.1 * random.nextGaussian());
      assertThat(GUARD.risen(GUARD.with(seen.losses(), loss), seen.lowest())).isEmpty();
      seen = seen.with(GUARD, loss);
    }
  }

  @Example
  void withoutAFactorNoRiseIsLookedFor() {
    LossSpikes off = new LossSpikes(100, 10, 5, 0);
    IntToDoubleFunction rise = step -> 1 + step / 50.0;
    assertThat(found(off, 1000, 0.05, 3, rise)).isEmpty();
    assertThat(found(GUARD, 1000, 0.05, 3, rise)).isPresent();
  }

  @Example
  void theReasonNamesBothMedians() {
    LossSpikes guard = new LossSpikes(4, 10, 5, 2);
    Seen seen = Seen.NOTHING;
    for (float loss : new float[] {1, 1, 1, 1, 1.9f, 2.1f}) {
      assertThat(guard.risen(guard.with(seen.losses(), loss), seen.lowest())).isEmpty();
      seen = seen.with(guard, loss);
    }
    assertThat(guard.risen(guard.with(seen.losses(), 2.3f), seen.lowest()))
        .hasValue(
            "the loss has risen: the last 2 have a median of 2.20000, the lowest of 4 was 1.00000");
  }

  @Example
  void aFactorBelowOneIsRefused() {
    for (double factor : List.of(1.0, -1.0, Double.NaN)) {
      assertThatThrownBy(() -> new LossSpikes(100, 10, 5, factor))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("factor above 1, or 0");
    }
  }

  @Example
  void levelsAreMediansAndMedianDistances() {
    List<Float> losses = new ArrayList<>(List.of(5f, 1f, 2f, 4f, 1000f));
    assertThat(LossLevel.of(losses)).isEqualTo(new LossLevel(4, 1.4826 * 2));
    losses.remove(4);
    assertThat(LossLevel.of(losses)).isEqualTo(new LossLevel(3, 1.4826 * 1.5));
  }
}
