/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.fakes.FakePipeline.request;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.ManualTicker;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What is left of requests, as a checkpoint holds it, goes on elsewhere. */
class UnfinishedWorkTest extends StepBatcherCase {
  @Test
  void whatIsLeftOfEachRequestGoesOnElsewhere() {
    openWith(new BatchPolicy(2, 1, 1, Duration.ofSeconds(30)));
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      requests.add(request("r" + i, 2 + i));
    }
    requests.forEach(this::submit);
    for (int i = 0; i < 7; i++) {
      batcher.runOnce();
    }
    List<Work> saved = leftToDo();
    List<String> finished =
        requests.stream()
            .map(GenerationRequest::id)
            .filter(id -> outcomes.get(id).image != null)
            .toList();

    assertThat(saved.stream().map(work -> work.request().id()))
        .containsExactlyInAnyOrderElementsOf(
            requests.stream()
                .map(GenerationRequest::id)
                .filter(id -> !finished.contains(id))
                .toList());
    assertThat(finished).isNotEmpty();
    assertThat(saved).hasAtLeastOneElementOfType(Work.Fresh.class);
    assertThat(saved).hasAtLeastOneElementOfType(Work.Resumed.class);

    runUntilIdle(); // what goes on here must not change what was saved
    StepBatcher elsewhere =
        new StepBatcher(new FakePipeline(), BatchPolicy.ofRows(8), new ManualTicker());
    BatchSession other = elsewhere.join(new RecordedSession());
    for (Work work : saved) {
      RecordedOutcome outcome = new RecordedOutcome();
      outcomes.put(work.request().id(), outcome);
      other.submit(work, Submission.DEFAULT, outcome);
    }
    while (elsewhere.runOnce()) {}

    for (GenerationRequest request : requests) {
      assertThat(outcomes.get(request.id()).image.image().data()).isEqualTo(solo(request));
    }
  }

  @Test
  void whatIsLeftDoesNotChangeBeforeACallHasSucceeded() {
    openWith(4);
    GenerationRequest request = request("a", 3);
    Ticket ticket = submit(request);
    List<Work> duringCalls = new ArrayList<>();
    pipeline.beforeCall = () -> duringCalls.add(ticket.rest());
    runUntilIdle();

    assertThat(pipeline.calls)
        .containsExactly("start[a]", "step[a@0]", "step[a@1]", "step[a@2]", "finish[a]");
    assertThat(duringCalls.get(0)).isEqualTo(new Work.Fresh(request));
    assertThat(duringCalls.subList(1, 5))
        .extracting(work -> ((Work.Resumed) work).snapshot().step())
        .containsExactly(0, 1, 2, 3);
    assertThat(ticket.rest())
        .as("until its picture is safe, it may have to be decoded again")
        .isEqualTo(duringCalls.get(4));
    for (Work work : duringCalls) {
      assertThat(madeElsewhere(work)).isEqualTo(solo(request));
    }
  }

  @Test
  void aCallThatFailsLeavesWhatWasLeft() {
    openWith(4);
    pipeline.notFinite.add("bad@1");
    Ticket good = submit(request("good", 3));
    submit(request("bad", 3));
    batcher.runOnce();
    batcher.runOnce();
    Work before = good.rest();
    batcher.runOnce();

    assertThat(outcomes.get("bad").failure).isNotNull();
    assertThat(good.rest()).isSameAs(before);
    runUntilIdle();
    assertThat(outcomes.get("good").image.image().data()).isEqualTo(solo(good.request()));
  }

  private static float[] madeElsewhere(Work work) {
    StepBatcher elsewhere =
        new StepBatcher(new FakePipeline(), BatchPolicy.ofRows(8), new ManualTicker());
    RecordedOutcome outcome = new RecordedOutcome();
    elsewhere.join(new RecordedSession()).submit(work, Submission.DEFAULT, outcome);
    while (elsewhere.runOnce()) {}
    return outcome.image.image().data();
  }
}
