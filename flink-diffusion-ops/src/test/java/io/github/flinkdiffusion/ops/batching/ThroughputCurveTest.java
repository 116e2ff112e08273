/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.ManualTicker;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.IntToLongFunction;
import org.junit.jupiter.api.Test;

/** Measuring a device whose calls take as long as the test says. */
class ThroughputCurveTest {
  private final FakePipeline pipeline = new FakePipeline();
  private final ManualTicker ticker = new ManualTicker();

  private void callsTake(IntToLongFunction millisOfRows) {
    pipeline.beforeStep = rows -> ticker.advance(Duration.ofMillis(millisOfRows.applyAsLong(rows)));
  }

  private static GenerationSpec example() {
    return GenerationSpec.of("example").with(Parameters.PROMPT, "a cat");
  }

  private int measured() {
    return resolve(example());
  }

  private int resolve(GenerationSpec example) {
    return new BatchSettings(OptionalInt.empty(), Duration.ZERO, Optional.of(example))
        .resolve(pipeline, ticker)
        .rowLimit();
  }

  @Test
  void theSmallestCallThatIsNearlyAsFastAsAnyIsChosen() {
    callsTake(rows -> rows <= 8 ? 20 : 20 * rows / 8); // full with 8 rows
    assertThat(measured()).isEqualTo(8);
  }

  @Test
  void aDeviceThatIsNeverFullGetsTheLargestCallThatIsTried() {
    callsTake(rows -> 10);
    assertThat(measured()).isEqualTo(ThroughputCurve.MOST_ROWS);
  }

  @Test
  void aDeviceThatIsFullWithOneRowGetsOne() {
    callsTake(rows -> 10L * rows);
    assertThat(measured()).isEqualTo(1);
  }

  @Test
  void aDisturbedCallDoesNotCount() {
    int[] calls = {0};
    callsTake(rows -> calls[0]++ % 3 == 1 ? 500 : 10);
    assertThat(measured()).isEqualTo(ThroughputCurve.MOST_ROWS);
  }

  @Test
  void aSizeWhoseFirstCallsAreAllDisturbedIsTriedAgain() {
    int[] calls = {0};
    callsTake(rows -> rows == 2 && calls[0]++ < 5 ? 500 : 10);
    assertThat(measured()).isEqualTo(ThroughputCurve.MOST_ROWS);
  }

  @Test
  void aSizeThatIsSlowerEndsTheMeasurement() {
    callsTake(rows -> rows < 4 ? 10 : 100L * rows);
    assertThat(measured()).isEqualTo(2);
    assertThat(Duration.ofNanos(ticker.nanos())).isLessThan(ThroughputCurve.BUDGET);
  }

  @Test
  void whatDoesNotFitIntoMemoryIsNotTriedAgain() {
    callsTake(rows -> 10);
    pipeline.rowsThatFit = 5;
    assertThat(measured()).isEqualTo(4);
  }

  @Test
  void guidedRequestsAreMeasuredWithTheirRows() {
    callsTake(rows -> 10);
    pipeline.rowsThatFit = 5;
    assertThat(resolve(example().with(Parameters.GUIDANCE_SCALE, 7.5))).isEqualTo(4);
  }

  @Test
  void callsThatTakeLongAreMeasuredOnceAndNotMadeLonger() {
    callsTake(rows -> 3000);
    assertThat(measured()).isEqualTo(1);
    assertThat(pipeline.calls).filteredOn(call -> call.startsWith("step")).hasSize(1);
  }

  @Test
  void measuringEndsWithinItsBudget() {
    callsTake(rows -> 400 + rows);
    measured();
    assertThat(Duration.ofNanos(ticker.nanos())).isLessThan(ThroughputCurve.BUDGET);
  }

  @Test
  void aRequestOfOneStepIsBegunAgainForEachCall() {
    callsTake(rows -> 10L * rows);
    assertThat(resolve(example().with(Parameters.STEPS, 1L))).isEqualTo(1);
  }

  @Test
  void aModelThatRefusesTheExampleIsNotMeasured() {
    assertThat(resolve(example().with(Parameters.STEPS, 1_000_000L)))
        .isEqualTo(BatchSettings.UNMEASURED_ROWS);
  }

  @Test
  void aModelOfWhichNotEvenOneFitsIsNotMeasured() {
    pipeline.rowsThatFit = 0;
    assertThat(measured()).isEqualTo(BatchSettings.UNMEASURED_ROWS);
  }

  @Test
  void aSettingWinsAndNothingIsMeasured() {
    assertThat(BatchSettings.ofRows(3).resolve(pipeline, ticker).rowLimit()).isEqualTo(3);
    assertThat(pipeline.calls).isEmpty();
  }

  @Test
  void aDeviceThatBreaksSaysSo() {
    pipeline.deviceErrors.add("example@0");
    assertThatThrownBy(this::measured).hasMessage("The device broke.");
  }
}
