/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.apache.flink.annotation.Internal;

/**
 * What a caller wants of a device's batcher; becomes a {@link BatchPolicy} once the model is there
 * to be measured.
 *
 * @param rows most rows of a network call, from 1; when absent, the device is measured
 * @param aging see {@link BatchPolicy#agingPerPriority}
 * @param example a request like those that will come, to measure with; without one, and where the
 *     model refuses it, the limit is {@link #UNMEASURED_ROWS}
 * @param memory most bytes of native memory that a call on the CPU takes; when absent, what the
 *     process may still take
 */
@Internal
public record BatchSettings(
    OptionalInt rows, Duration aging, Optional<GenerationSpec> example, OptionalLong memory) {
  /** Rows where neither a setting nor a measurement says more. */
  public static final int UNMEASURED_ROWS = 16;

  public BatchSettings {
    Objects.requireNonNull(rows, "rows");
    Objects.requireNonNull(aging, "aging");
    Objects.requireNonNull(example, "example");
    Objects.requireNonNull(memory, "memory");
  }

  /** Without a limit for memory but what the process has. */
  public BatchSettings(OptionalInt rows, Duration aging, Optional<GenerationSpec> example) {
    this(rows, aging, example, OptionalLong.empty());
  }

  /** So many rows, no measuring. */
  public static BatchSettings ofRows(int rows) {
    return new BatchSettings(OptionalInt.of(rows), BatchPolicy.DEFAULT_AGING, Optional.empty());
  }

  /**
   * The policy, measured if need be; called once, on the device's thread, before the batcher runs.
   */
  public BatchPolicy resolve(DiffusionPipeline pipeline, Ticker ticker) {
    int limit =
        rows.orElseGet(
            () ->
                example
                    .flatMap(spec -> ThroughputCurve.measure(pipeline, spec, ticker))
                    .map(ThroughputCurve::bestRows)
                    .orElse(UNMEASURED_ROWS));
    return BatchPolicy.ofRows(limit).withAging(aging);
  }
}
