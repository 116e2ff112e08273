/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.fakes.FakePipeline.request;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** What an error of a call means for the requests in it, and how often they begin again. */
class BatchFailureTest extends StepBatcherCase {
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
}
