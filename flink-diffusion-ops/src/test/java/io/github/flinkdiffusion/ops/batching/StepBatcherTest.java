/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.fakes.FakePipeline.request;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The loop, made to go call by call on the test's thread. */
class StepBatcherTest extends StepBatcherCase {
  @Test
  void requestsJoinTheNextCallAndLeaveWhenTheyAreDone() {
    openWith(8);
    submit(request("a", 3));
    batcher.runOnce(); // start
    batcher.runOnce(); // step
    submit(request("b", 2));
    runUntilIdle();

    assertThat(pipeline.calls)
        .containsExactly(
            "start[a]",
            "step[a@0]",
            "start[b]",
            "step[a@1, b@0]",
            "step[a@2, b@1]",
            "finish[a, b]");
  }

  @Test
  void aPictureDoesNotDependOnWhoSharesTheCalls() {
    openWith(5);
    List<GenerationRequest> requests = new ArrayList<>();
    for (int i = 0; i < 9; i++) {
      requests.add(request("r" + i, 1 + 3 * i % 7, i % 2 == 0 ? 1.0 : 7.5, i % 3 == 0 ? 16 : 8));
    }
    for (GenerationRequest request : requests) {
      submit(request);
      batcher.runOnce();
    }
    runUntilIdle();

    for (GenerationRequest request : requests) {
      assertThat(outcomes.get(request.id()).image.image().data())
          .as(request.id())
          .isEqualTo(solo(request));
    }
  }

  @Test
  void theLimitCountsRowsAndAGuidedRequestTakesTwo() {
    openWith(3);
    submit(request("guided", 1, 7.5, 8));
    submit(request("guided too", 1, 7.5, 8));
    submit(request("plain", 1));
    runUntilIdle();

    assertThat(stepCalls()).containsExactly("step[guided@0, plain@0]", "step[guided too@0]");
  }

  @Test
  void eachRequestTakesItsShareOfACallByRows() {
    openWith(3);
    pipeline.beforeCall = () -> ticker.advance(Duration.ofMillis(6));
    pipeline.beforeStep = rows -> ticker.advance(Duration.ofMillis(10L * rows));
    submit(request("guided", 2, 7.5, 8));
    submit(request("plain", 1));
    runUntilIdle();

    assertThat(pipeline.calls)
        .containsExactly(
            "start[guided, plain]",
            "step[guided@0, plain@0]",
            "finish[plain]",
            "step[guided@1]",
            "finish[guided]");
    assertThat(outcomes.get("guided").deviceTime).isEqualTo(Duration.ofMillis(3 + 24 + 26 + 6));
    assertThat(outcomes.get("plain").deviceTime).isEqualTo(Duration.ofMillis(3 + 12 + 6));
    assertThat(sessionEvents.calls.stream().mapToLong(call -> call.elapsed().toMillis()).sum())
        .isEqualTo(59 + 21);
  }

  @Test
  void aRequestLargerThanTheLimitGoesAlone() {
    openWith(1);
    submit(request("guided", 1, 7.5, 8));
    submit(request("plain", 1));
    runUntilIdle();

    assertThat(stepCalls()).containsExactly("step[guided@0]", "step[plain@0]");
  }

  @Test
  void encodingAndDecodingNeverStallRunningStepsForLongerThanOneCall() {
    openWith(new BatchPolicy(4, 1, 1, Duration.ofSeconds(30)));
    submit(request("long", 100));
    for (int i = 0; i < 20; i++) {
      submit(request("r" + i, 1 + i % 3));
    }
    runUntilIdle();

    List<String> whileLongRuns =
        pipeline.calls.subList(1, pipeline.calls.lastIndexOf("step[long@99]"));
    for (int i = 0; i + 1 < whileLongRuns.size(); i++) {
      assertThat(whileLongRuns.subList(i, i + 2)).anyMatch(call -> call.startsWith("step"));
    }
    assertThat(whileLongRuns.stream().filter(call -> call.startsWith("finish"))).hasSize(20);
  }

  @Test
  void requestsOfOneTwoAndThreeRowsShareCallsUpToTheLimitOfRows() {
    openWith(6);
    for (int i = 0; i < 3; i++) {
      submit(request("three" + i, 2, 101, 8));
      submit(request("two" + i, 2, 7.5, 8));
      submit(request("one" + i, 2));
    }
    runUntilIdle();

    assertThat(outcomes.values()).allMatch(outcome -> outcome.image != null);
    assertThat(stepCalls().get(0)).isEqualTo("step[three0@0, two0@0, one0@0]");
    assertThat(
            sessionEvents.calls.stream()
                .filter(call -> call.stage() == CallReport.Stage.STEP)
                .map(CallReport::rows))
        .allMatch(rows -> rows == 6)
        .hasSize(6);
  }

  @Test
  void previewsComeBetweenStepsAndChangeNothing() {
    openWith(4);
    GenerationRequest request = request("a", 5);
    submit(request, Submission.DEFAULT.withPreviewEverySteps(2));
    submit(request("unseen", 5));
    runUntilIdle();

    assertThat(pipeline.calls)
        .containsSubsequence(
            "step[a@1, unseen@1]",
            "preview[a@2]",
            "step[a@2, unseen@2]",
            "step[a@3, unseen@3]",
            "preview[a@4]",
            "step[a@4, unseen@4]");
    assertThat(outcomes.get("a").previews).containsExactly(2, 4);
    assertThat(outcomes.get("a").image.image().data()).isEqualTo(solo(request));
  }

  @Test
  void previewsGiveWayToWhatElseWaitsAndNeverDelayStepsByMoreThanOneCall() {
    openWith(new BatchPolicy(64, 1, 1, Duration.ofSeconds(30)));
    for (int i = 0; i < 8; i++) {
      submit(
          request("r" + i, 20, 1.0, i % 2 == 0 ? 8 : 16),
          Submission.DEFAULT.withPreviewEverySteps(1));
    }
    runUntilIdle();

    List<String> calls = pipeline.calls;
    assertThat(calls).anyMatch(call -> call.startsWith("preview"));
    List<String> whileRunning =
        calls.subList(1, calls.lastIndexOf(stepCalls().get(stepCalls().size() - 1)));
    for (int i = 0; i + 1 < whileRunning.size(); i++) {
      assertThat(whileRunning.subList(i, i + 2)).anyMatch(call -> call.startsWith("step"));
    }
    assertThat(outcomes.values()).allMatch(outcome -> outcome.image != null);
  }

  @Test
  void aPreviewThatDoesNotFitIsLeftOutAndFewerAreTriedNextTime() {
    openWith(4);
    pipeline.previewsThatFit = 1;
    submit(request("a", 3), Submission.DEFAULT.withPreviewEverySteps(1));
    submit(request("b", 3), Submission.DEFAULT.withPreviewEverySteps(1));
    runUntilIdle();

    assertThat(outcomes.get("a").previews).containsExactly(2);
    assertThat(outcomes.values()).allMatch(outcome -> outcome.image != null);
    assertThat(sessionEvents.calls)
        .filteredOn(CallReport::outOfMemory)
        .extracting(CallReport::stage)
        .containsExactly(CallReport.Stage.PREVIEW);
  }

  @Test
  void aCancelledRequestIsToldSo() {
    openWith(4);
    Ticket ticket = submit(request("a", 3));
    submit(request("b", 1));
    batcher.runOnce();
    session.cancel(ticket);
    runUntilIdle();
    session.cancel(ticket); // too late, and harmless

    assertThat(outcomes.get("a").failure.kind()).isEqualTo(RequestFailure.Kind.CANCELLED);
    assertThat(outcomes.get("b").image).isNotNull();
    assertThat(batcher.runOnce()).isFalse();
  }

  @Test
  void aClosedSessionTakesItsRequestsAlongAndHearsNothingMore() {
    openWith(4);
    BatchSession neighbour = batcher.join(new RecordedSession());
    RecordedOutcome theirs = new RecordedOutcome();
    submit(request("mine", 2));
    neighbour.submit(new Work.Fresh(request("theirs", 2)), Submission.DEFAULT, theirs);
    batcher.runOnce();
    batcher.runOnce();
    session.close();
    session.close();
    runUntilIdle();

    assertThat(outcomes.get("mine").image).isNull();
    assertThat(outcomes.get("mine").failure).isNull();
    assertThat(theirs.image).isNotNull();
    assertThat(stepCalls()).containsExactly("step[mine@0, theirs@0]", "step[theirs@1]");
    assertThatThrownBy(() -> submit(request("late", 2))).isInstanceOf(BatchingException.class);
  }

  @Test
  void aTrajectoryOfAnotherModelIsRefused() {
    openWith(4);
    Ticket ticket = submit(request("a", 3));
    batcher.runOnce();
    Work saved = ticket.rest();
    BatchSession other =
        new StepBatcher(
                new FakePipeline(new ModelInfo("fake", "another digest")),
                BatchPolicy.ofRows(4),
                ticker)
            .join(new RecordedSession());

    assertThatThrownBy(() -> other.submit(saved, Submission.DEFAULT, new RecordedOutcome()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("another digest");
  }

  @Test
  void reportsCallsAndQueueTimes() {
    openWith(4);
    submit(request("a", 2));
    ticker.advance(Duration.ofMillis(5));
    runUntilIdle();

    assertThat(outcomes.get("a").queued).isEqualTo(Duration.ofMillis(5));
    assertThat(outcomes.get("a").steps).containsExactly(1, 2);
    assertThat(sessionEvents.calls)
        .extracting(CallReport::stage)
        .containsExactly(
            CallReport.Stage.ENCODE,
            CallReport.Stage.STEP,
            CallReport.Stage.STEP,
            CallReport.Stage.DECODE);
  }
}
