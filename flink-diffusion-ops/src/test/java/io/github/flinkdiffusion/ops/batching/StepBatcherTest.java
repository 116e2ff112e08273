/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.fakes.FakePipeline.request;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.ManualTicker;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The loop, made to go call by call on the test's thread. */
class StepBatcherTest {
  private final FakePipeline pipeline = new FakePipeline();
  private final ManualTicker ticker = new ManualTicker();
  private final RecordedSession sessionEvents = new RecordedSession();
  private final Map<String, RecordedOutcome> outcomes = new HashMap<>();
  private final List<Ticket> tickets = new ArrayList<>();

  private StepBatcher batcher;
  private BatchSession session;

  private void openWith(int rowLimit) {
    openWith(new BatchPolicy(rowLimit, rowLimit, rowLimit, Duration.ofSeconds(30)));
  }

  private void openWith(BatchPolicy policy) {
    batcher = new StepBatcher(pipeline, policy, ticker);
    session = batcher.join(sessionEvents);
  }

  private Ticket submit(GenerationRequest request) {
    return submit(request, Submission.DEFAULT);
  }

  private Ticket submit(GenerationRequest request, Submission how) {
    RecordedOutcome outcome = new RecordedOutcome();
    outcomes.put(request.id(), outcome);
    Ticket ticket = session.submit(new Work.Fresh(request), how, outcome);
    tickets.add(ticket);
    return ticket;
  }

  /** What a checkpoint would hold now. */
  private List<Work> leftToDo() {
    return tickets.stream()
        .filter(ticket -> outcomes.get(ticket.request().id()).image == null)
        .map(Ticket::rest)
        .toList();
  }

  private static Submission priority(int priority) {
    return Submission.DEFAULT.withPriority(priority);
  }

  private void runUntilIdle() {
    int calls = 0;
    while (batcher.runOnce()) {
      assertThat(calls++).as("calls").isLessThan(10_000);
    }
  }

  private List<String> stepCalls() {
    return pipeline.calls.stream().filter(call -> call.startsWith("step")).toList();
  }

  private static float[] solo(GenerationRequest request) {
    return FakePipeline.pictureOf(new GenerationSpec(request.id(), request.arguments())).data();
  }

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

  private void runOneStep() {
    int before = stepCalls().size();
    while (stepCalls().size() == before && batcher.runOnce()) {}
    while (batcher.runOnce() && stepCalls().size() == before) {}
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
  void aFailureThatMayPassIsRetriedFromTheSeedBehindThoseThatWait() {
    openWith(1);
    pipeline.notFinite.add("flaky@1");
    pipeline.beforeStep =
        rows -> {
          if (stepCalls().stream().filter("step[flaky@1]"::equals).count() == 2) {
            pipeline.notFinite.clear(); // its second attempt, which then succeeds
          }
        };
    GenerationRequest flaky = request("flaky", 3);
    submit(flaky, Submission.DEFAULT.withRetries(2));
    submit(request("other", 1));
    runUntilIdle();

    assertThat(outcomes.get("flaky").image.image().data()).isEqualTo(solo(flaky));
    assertThat(outcomes.get("flaky").retries).isEqualTo(1);
    assertThat(stepCalls())
        .containsExactly(
            "step[flaky@0]",
            "step[flaky@1]",
            "step[other@0]",
            "step[flaky@0]",
            "step[flaky@1]",
            "step[flaky@2]");
  }

  @Test
  void aFailureThatStaysIsRetriedAsOftenAsAllowedAndNoMore() {
    openWith(1);
    pipeline.notFinite.add("nan@0");
    pipeline.rowsThatFit = 1;
    submit(request("nan", 1), Submission.DEFAULT.withRetries(3));
    submit(request("large", 1, 7.5, 8), Submission.DEFAULT.withRetries(1));
    runUntilIdle();

    assertThat(outcomes.get("nan").failure.kind()).isEqualTo(RequestFailure.Kind.NOT_FINITE);
    assertThat(outcomes.get("nan").retries).isEqualTo(3);
    assertThat(outcomes.get("large").failure.kind()).isEqualTo(RequestFailure.Kind.OUT_OF_MEMORY);
    assertThat(outcomes.get("large").retries).isEqualTo(1);
  }

  @Test
  void whatCanNotEndDifferentlyIsNotRetried() {
    openWith(1);
    pipeline.invalidAtStart.add("refused");
    Submission often = Submission.DEFAULT.withRetries(5);
    submit(request("refused", 1), often);
    submit(request("slow", 9), often.withTimeout(Duration.ofSeconds(1)));
    session.cancel(submit(request("cancelled", 9), often));
    batcher.runOnce();
    ticker.advance(Duration.ofSeconds(1));
    runUntilIdle();

    assertThat(outcomes.values()).allMatch(outcome -> outcome.failure != null);
    assertThat(outcomes.values()).allMatch(outcome -> outcome.retries == 0);
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

  @Test
  void aRequestThatTheModelRefusesFailsAlone() {
    openWith(8);
    pipeline.invalidAtStart.add("bad");
    submit(request("good", 2));
    submit(request("bad", 2));
    submit(request("fine", 2));
    runUntilIdle();

    assertThat(outcomes.get("bad").failure)
        .isEqualTo(
            new RequestFailure(
                RequestFailure.Kind.INVALID_REQUEST, "The prompt cannot be encoded."));
    assertThat(outcomes.get("good").image).isNotNull();
    assertThat(outcomes.get("fine").image).isNotNull();
  }

  @Test
  void aRequestWhoseNumbersAreNotFiniteFailsAloneAndTheOthersTakeTheStepAgain() {
    openWith(8);
    pipeline.notFinite.add("bad@1");
    GenerationRequest good = request("good", 3);
    submit(good);
    submit(request("bad", 3));
    runUntilIdle();

    assertThat(outcomes.get("bad").failure.kind()).isEqualTo(RequestFailure.Kind.NOT_FINITE);
    assertThat(outcomes.get("good").image.image().data()).isEqualTo(solo(good));
    assertThat(stepCalls())
        .containsExactly(
            "step[good@0, bad@0]", "step[good@1, bad@1]", "step[good@1]", "step[good@2]");
  }

  @Test
  void aCallThatDoesNotFitIsHalvedAndTheLimitIsRemembered() {
    openWith(8);
    pipeline.rowsThatFit = 3;
    for (int i = 0; i < 8; i++) {
      submit(request("r" + i, 2));
    }
    runUntilIdle();

    assertThat(outcomes.values()).allMatch(outcome -> outcome.image != null);
    assertThat(sessionEvents.calls.stream().filter(CallReport::outOfMemory).map(CallReport::rows))
        .containsExactly(8, 4);
    assertThat(
            sessionEvents.calls.stream()
                .filter(c -> c.stage() == CallReport.Stage.STEP && !c.outOfMemory())
                .map(CallReport::rows))
        .containsOnly(2)
        .hasSize(8);
  }

  @Test
  void aLimitLearnedForLargePicturesDoesNotHoldForSmallOnes() {
    openWith(4);
    pipeline.rowsThatFit = 1;
    submit(request("large", 1, 1.0, 16));
    submit(request("large too", 1, 1.0, 16));
    runUntilIdle();
    pipeline.rowsThatFit = 4;
    submit(request("small", 1));
    submit(request("small too", 1));
    runUntilIdle();

    assertThat(stepCalls()).contains("step[small@0, small too@0]");
  }

  @Test
  void decodingIsHalvedToo() {
    openWith(4);
    pipeline.picturesThatFit = 1;
    for (int i = 0; i < 4; i++) {
      submit(request("r" + i, 1));
    }
    runUntilIdle();

    assertThat(outcomes.values()).allMatch(outcome -> outcome.image != null);
    assertThat(pipeline.calls)
        .endsWith(
            "finish[r0, r1, r2, r3]",
            "finish[r0, r1]",
            "finish[r0]",
            "finish[r1]",
            "finish[r2]",
            "finish[r3]");
  }

  @Test
  void aRequestThatDoesNotFitAloneFailsAlone() {
    openWith(4);
    pipeline.rowsThatFit = 1;
    submit(request("guided", 2, 7.5, 8));
    submit(request("plain", 2));
    runUntilIdle();

    assertThat(outcomes.get("guided").failure.kind()).isEqualTo(RequestFailure.Kind.OUT_OF_MEMORY);
    assertThat(outcomes.get("guided").failure.message())
        .contains("guided", "8 x 8", "smaller image", "2 do not fit");
    assertThat(outcomes.get("plain").image).isNotNull();
  }

  @Test
  void anyOtherErrorOfTheDeviceFailsAllCallers() {
    openWith(4);
    RecordedSession neighbour = new RecordedSession();
    batcher.join(neighbour);
    pipeline.deviceErrors.add("a@1");
    submit(request("a", 2));
    runUntilIdle();

    assertThat(sessionEvents.deviceFailure).hasRootCauseMessage("The device broke.");
    assertThat(neighbour.deviceFailure).isSameAs(sessionEvents.deviceFailure);
    assertThat(batcher.hasFailed()).isTrue();
    assertThatThrownBy(() -> submit(request("b", 2)))
        .isInstanceOf(BatchingException.class)
        .hasMessageContaining("The device broke.");
    assertThat(((Work.Resumed) tickets.get(0).rest()).snapshot().step())
        .as("what is left is what was left before the call that failed")
        .isEqualTo(1);
    assertThatThrownBy(() -> batcher.join(neighbour)).isInstanceOf(BatchingException.class);
  }

  @Test
  void aRequestThatIsNotDoneInTimeFails() {
    openWith(1);
    Submission tenSeconds = Submission.DEFAULT.withTimeout(Duration.ofSeconds(10));
    submit(request("running", 5), tenSeconds);
    submit(request("unhurried", 1));
    submit(request("quick", 1), tenSeconds);
    batcher.runOnce();
    batcher.runOnce();
    ticker.advance(Duration.ofSeconds(10));
    runUntilIdle();

    assertThat(outcomes.get("running").failure.kind()).isEqualTo(RequestFailure.Kind.TIMEOUT);
    assertThat(outcomes.get("running").failure.message()).contains("10000 ms", "step 1 of 5");
    assertThat(outcomes.get("quick").failure.message()).contains("still waiting");
    assertThat(outcomes.get("unhurried").image).isNotNull();
  }

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

  private static final class RecordedSession implements SessionListener {
    final List<CallReport> calls = new ArrayList<>();
    BatchingException deviceFailure;

    @Override
    public void onCall(CallReport report) {
      calls.add(report);
    }

    @Override
    public void onDeviceFailed(BatchingException cause) {
      assertThat(deviceFailure).isNull();
      deviceFailure = cause;
    }
  }
}
