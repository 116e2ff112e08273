/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.flinkdiffusion.ops.batching.CallMemory.Measurement;
import java.util.List;
import org.junit.jupiter.api.Test;

class CallMemoryTest {
  private static final long MIB = 1 << 20;

  @Test
  void growsInProportionToRowsAndPixelsWhereTheMeasurementsDo() {
    CallMemory memory =
        CallMemory.of(
            List.of(
                new Measurement(2, 128 * 128, 16 * MIB), new Measurement(2, 256 * 256, 50 * MIB)));
    assertThat(memory.bytes(2, 512 * 512) / MIB).isEqualTo(200, within(0.1));
    assertThat(memory.bytes(8, 512 * 512) / MIB).isEqualTo(800, within(0.1));
    assertThat(memory.bytes(2, 128 * 128) / MIB).isEqualTo(12.5, within(0.1));
  }

  @Test
  void growsWithTheSquareWhereTheMeasurementsDo() {
    CallMemory memory =
        CallMemory.of(
            List.of(
                new Measurement(1, 128 * 128, 20 * MIB), new Measurement(1, 256 * 256, 320 * MIB)));
    assertThat(memory.bytes(1, 512 * 512) / MIB).isEqualTo(16 * 320, within(0.1));
    CallMemory steeper =
        CallMemory.of(
            List.of(new Measurement(1, 100, 8 * MIB), new Measurement(1, 200, 999 * MIB)));
    assertThat(steeper.exponent()).as("at most").isEqualTo(2);
  }

  @Test
  void noiseIsNotTakenForGrowth() {
    CallMemory memory =
        CallMemory.of(
            List.of(new Measurement(1, 32 * 32, 0), new Measurement(1, 64 * 64, 3 * MIB)));
    assertThat(memory.exponent()).isEqualTo(1);
    assertThat(memory.rowBytes()).isEqualTo(CallMemory.NOISE_BYTES);
  }

  /** A model whose sample is of one size, whatever the image's. */
  @Test
  void ofMeasurementsOfOneSizeTheLargerCounts() {
    CallMemory memory =
        CallMemory.of(List.of(new Measurement(1, 64, 9 * MIB), new Measurement(1, 64, 8 * MIB)));
    assertThat(memory.bytes(2, 64)).isEqualTo(18 * MIB);
    assertThat(memory.exponent()).isEqualTo(1);
  }
}
