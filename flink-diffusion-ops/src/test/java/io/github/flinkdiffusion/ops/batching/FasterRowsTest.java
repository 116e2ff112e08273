/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.IntToLongFunction;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class FasterRowsTest {
  private static final String KIND = "steps of 96 px";

  /** Two threads take a row each. */
  private static final IntToLongFunction IN_PAIRS =
      rows -> 2_000_000L + 12_000_000L * ((rows + 1) / 2);

  private static final class Member implements BatchPlanner.Member {
    private int stepsLeft;

    Member(int stepsLeft) {
      this.stepsLeft = stepsLeft;
    }

    @Override
    public Object batchKey() {
      return KIND;
    }

    @Override
    public int rows() {
      return 1;
    }

    @Override
    public int stepsLeft() {
      return stepsLeft;
    }
  }

  private static FasterRows<Member> knowing(IntToLongFunction nanos, int mostRows) {
    return new FasterRows<>(timesOf(nanos, mostRows));
  }

  private static CallTimes timesOf(IntToLongFunction nanos, int mostRows) {
    CallTimes times = new CallTimes();
    for (int call = 0; call < CallTimes.CALLS_NEEDED; call++) {
      for (int rows = 1; rows <= mostRows; rows++) {
        times.took(KIND, rows, nanos.applyAsLong(rows));
      }
    }
    return times;
  }

  private static List<Member> call(FasterRows<Member> faster, List<Member> batch) {
    return faster.of(KIND, batch, Member::rows, member -> false);
  }

  private static List<Member> members(int... stepsLeft) {
    return IntStream.of(stepsLeft).mapToObj(Member::new).toList();
  }

  @Test
  void leavesTheOneWithMostStepsLeftOutOfAnOddCallButNotTwiceInARow() {
    FasterRows<Member> faster = knowing(IN_PAIRS, 8);
    List<Member> batch = members(4, 50, 25);

    assertThat(call(faster, batch)).containsExactly(batch.get(0), batch.get(2));
    assertThat(call(faster, batch)).containsExactly(batch.get(0), batch.get(1));
    assertThat(call(faster, batch)).containsExactly(batch.get(0), batch.get(2));
  }

  @Test
  void leavesTheLastOneOutWhereAllHaveAsManyStepsLeft() {
    List<Member> batch = members(0, 0, 0);

    assertThat(call(knowing(IN_PAIRS, 8), batch)).containsExactly(batch.get(0), batch.get(1));
  }

  @Test
  void leavesNobodyOutWhereAllMustStay() {
    List<Member> batch = members(4, 50, 25);

    assertThat(knowing(IN_PAIRS, 8).of(KIND, batch, Member::rows, member -> true)).isEqualTo(batch);
  }

  @Test
  void leavesNobodyOutWhileTimesAreNotKnown() {
    CallTimes times = new CallTimes();
    FasterRows<Member> faster = new FasterRows<>(times);
    List<Member> batch = members(1, 2, 3);

    assertThat(call(faster, batch)).isEqualTo(batch);
    for (int call = 0; call < CallTimes.CALLS_NEEDED; call++) {
      times.took(KIND, 3, IN_PAIRS.applyAsLong(3));
    }
    assertThat(call(faster, batch)).as("two rows were never tried").isEqualTo(batch);
    times.took("another kind", 2, 1);
    assertThat(call(faster, batch)).isEqualTo(batch);
  }

  @Test
  void leavesNobodyOutOfCallsOfLessThanAMillisecond() {
    List<Member> batch = members(4, 50, 25);

    assertThat(call(knowing(rows -> IN_PAIRS.applyAsLong(rows) / 1000, 8), batch)).isEqualTo(batch);
  }

  @Test
  void triesAgainWhatItAvoidsAndLearnsThatItNoLongerNeedsTo() {
    CallTimes times = timesOf(IN_PAIRS, 8);
    FasterRows<Member> faster = new FasterRows<>(times);
    List<Member> batch = members(7, 8, 9);
    int whole = 0;
    for (int call = 0; call < 40 * FasterRows.TRIED_AGAIN; call++) {
      int rows = call(faster, batch).size();
      times.took(KIND, rows, 2_000_000L + 1_000_000L * rows); // another device: sharing always pays
      whole = rows == batch.size() ? whole + 1 : 0;
    }
    assertThat(whole).as("calls of all, in a row").isGreaterThan(2 * FasterRows.TRIED_AGAIN);
  }

  @Property
  void calculatesEveryStepInNoMoreTimeThanCallsOfAllWould(
      @ForAll @Size(min = 1, max = 8) List<@IntRange(min = 1, max = 30) Integer> steps,
      @ForAll boolean inPairs) {
    IntToLongFunction nanos = inPairs ? IN_PAIRS : rows -> 5_000_000L + 1_000_000L * rows;
    FasterRows<Member> faster = knowing(nanos, 8);
    List<Member> running = new ArrayList<>(steps.stream().map(Member::new).toList());
    long took = 0;
    long whole = 0;
    for (int step = 1; step <= 30; step++) {
      int at = step;
      int rows = (int) steps.stream().filter(each -> each >= at).count();
      whole += rows == 0 ? 0 : nanos.applyAsLong(rows);
    }
    Set<Member> missed = new HashSet<>();
    while (!running.isEmpty()) {
      List<Member> call = call(faster, List.copyOf(running));
      assertThat(2 * call.size()).isGreaterThan(running.size());
      assertThat(running).containsSubsequence(call);
      Predicate<Member> takesPart = new HashSet<>(call)::contains;
      assertThat(missed).allMatch(takesPart, "takes part after it was left out");
      missed = new HashSet<>(running);
      missed.removeIf(takesPart);
      took += nanos.applyAsLong(call.size());
      call.forEach(member -> member.stepsLeft--);
      running.removeIf(member -> member.stepsLeft == 0);
    }
    // At the end a member that was left out may make its last step alone.
    assertThat(took).isLessThanOrEqualTo(whole + (inPairs ? nanos.applyAsLong(1) : 0));
  }
}
