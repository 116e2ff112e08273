/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.fakes.FakePipeline.request;
import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Who takes part in which call: priorities, deadlines, shapes and lengths. */
class BatchOrderTest extends StepBatcherCase {
  @Test
  void higherPriorityOvertakesWhatIsAlreadyRunning() {
    openWith(1);
    submit(request("low", 3));
    batcher.runOnce();
    batcher.runOnce();
    submit(request("high", 2), priority(1));
    runUntilIdle();

    assertThat(stepCalls())
        .containsExactly(
            "step[low@0]", "step[high@0]", "step[high@1]", "step[low@1]", "step[low@2]");
  }

  @Test
  void whoHasWaitedLongEnoughIsNotOvertakenByHigherPriority() {
    openWith(1);
    submit(request("old", 1));
    ticker.advance(Duration.ofSeconds(31));
    submit(request("young but important", 1), priority(1));
    submit(request("young and very important", 1), priority(2));
    runUntilIdle();

    assertThat(stepCalls())
        .containsExactly(
            "step[young and very important@0]", "step[old@0]", "step[young but important@0]");
  }

  private static Submission deadline(int seconds) {
    return Submission.DEFAULT.withDeadline(Duration.ofSeconds(seconds));
  }

  @Test
  void ofOnePriorityTheEarliestDeadlineGoesFirstThenTheOthersAsTheyCame() {
    openWith(1);
    submit(request("whenever", 1));
    submit(request("late", 1), deadline(20));
    submit(request("whenever too", 1));
    submit(request("soon", 1), deadline(10));
    runUntilIdle();

    assertThat(stepCalls())
        .containsExactly(
            "step[soon@0]", "step[late@0]", "step[whenever@0]", "step[whenever too@0]");
  }

  @Test
  void ofRequestsThatComeTogetherPriorityCountsMoreThanAnyDeadline() {
    openWith(1);
    submit(request("urgent", 1), deadline(1));
    submit(request("urgent and important", 1), deadline(2).withPriority(1));
    submit(request("important", 1), priority(1));
    runUntilIdle();

    assertThat(stepCalls())
        .containsExactly("step[urgent and important@0]", "step[important@0]", "step[urgent@0]");
  }

  @Test
  void urgentRequestsDoNotStarveOneWithoutADeadline() {
    openWith(1);
    submit(request("patient", 1));
    int overtaking = 0;
    while (outcomes.get("patient").image == null) {
      submit(request("urgent" + overtaking, 1), deadline(5));
      overtaking++;
      runOneStep();
      ticker.advance(Duration.ofSeconds(1));
    }
    // Those that came within 25 s of it are due before it is, at 30 s.
    assertThat(overtaking).isBetween(25, 27);
  }

  @Test
  void aRequestThatIsNotDoneByItsDeadlineFailsAndSaysSo() {
    openWith(1);
    submit(request("a", 5), deadline(10).withTimeout(Duration.ofHours(1)));
    batcher.runOnce();
    batcher.runOnce();
    ticker.advance(Duration.ofSeconds(10));
    runUntilIdle();

    assertThat(outcomes.get("a").failure.kind()).isEqualTo(RequestFailure.Kind.TIMEOUT);
    assertThat(outcomes.get("a").failure.message())
        .contains("by its deadline, 10000 ms after it was admitted", "step 1 of 5");
  }

  @Test
  void extremePrioritiesKeepTheirOrder() {
    openWith(1);
    submit(request("least", 1), priority(Integer.MIN_VALUE));
    submit(request("most", 1), priority(Integer.MAX_VALUE));
    runUntilIdle();

    assertThat(stepCalls()).containsExactly("step[most@0]", "step[least@0]");
  }

  @Test
  void shapesTakeTurns() {
    openWith(2);
    pipeline.beforeStep = rows -> ticker.advance(Duration.ofMillis(10));
    submit(request("warm-up", 2));
    runUntilIdle();
    for (int i = 0; i < 3; i++) {
      submit(request("long" + i, 40));
    }
    for (int call = 0; call < 8; call++) {
      batcher.runOnce();
    }
    int before = stepCalls().size();
    submit(request("short", 2, 1.0, 16));
    runUntilIdle();

    List<String> steps = stepCalls();
    int first = steps.indexOf("step[short@0]");
    assertThat(first - before).isLessThanOrEqualTo(1);
    assertThat(steps.indexOf("step[short@1]") - first).as("turns").isLessThanOrEqualTo(2);
  }

  /** However many short ones come. */
  @Test
  void aLongRequestIsOvertakenOnlyByThoseThatComeWithinThreeTimesItsLength() {
    openWith(1);
    pipeline.beforeStep = rows -> ticker.advance(Duration.ofMillis(10));
    submit(request("warm-up", 2));
    runUntilIdle();
    long begin = ticker.nanos();
    submit(request("long", 20));
    List<String> late = new ArrayList<>();
    for (int i = 0; outcomes.get("long").image == null; i++) {
      submit(request("short" + i, 2));
      if (ticker.nanos() - begin >= Duration.ofMillis(3 * 20 * 10).toNanos()) {
        late.add("short" + i);
      }
      batcher.runOnce();
    }

    assertThat(outcomes.get("short0").image).isNotNull();
    assertThat(late).isNotEmpty().allMatch(id -> outcomes.get(id).image == null);
  }

  @Test
  void onlySoManyAreStartedAhead() {
    openWith(2);
    for (int i = 0; i < 50; i++) {
      submit(request("r" + i, 100));
    }
    for (int i = 0; i < 40; i++) {
      batcher.runOnce();
    }

    assertThat(leftToDo()).filteredOn(Work.Resumed.class::isInstance).hasSize(4);
  }
}
