/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import java.math.BigInteger;
import java.time.Duration;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.streaming.api.environment.CheckpointConfig;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * How a job's checkpoints are set up, as far as it matters to a transaction.
 *
 * @param streaming false in Flink's batch execution mode, which has no checkpoints
 * @param enabled whether there are checkpoints
 * @param exactlyOnce whether their barriers are aligned or stored, so that each record counts once
 * @param afterTasksFinish whether there is a last one behind the end of a bounded source
 * @param interval from the start of one to the start of the next
 * @param timeout longest time that one may take
 * @param tolerableFailures how many in a row may fail before the job does
 */
@Internal
public record Checkpointing(
    boolean streaming,
    boolean enabled,
    boolean exactlyOnce,
    boolean afterTasksFinish,
    Duration interval,
    Duration timeout,
    int tolerableFailures) {

  /** As set in the environment by now. */
  public static Checkpointing of(StreamExecutionEnvironment env) {
    CheckpointConfig config = env.getCheckpointConfig();
    boolean enabled = config.isCheckpointingEnabled();
    return new Checkpointing(
        env.getConfiguration().get(ExecutionOptions.RUNTIME_MODE) != RuntimeExecutionMode.BATCH,
        enabled,
        config.getCheckpointingConsistencyMode() == CheckpointingMode.EXACTLY_ONCE,
        env.getConfiguration().get(CheckpointingOptions.ENABLE_CHECKPOINTS_AFTER_TASKS_FINISH),
        enabled
            ? Duration.ofMillis(
                Math.max(config.getCheckpointInterval(), config.getMinPauseBetweenCheckpoints()))
            : Duration.ZERO,
        Duration.ofMillis(config.getCheckpointTimeout()),
        config.getTolerableCheckpointFailureNumber());
  }

  /**
   * How long a transaction may stay open, from its first record to its commit: until the next
   * checkpoint has started and is complete, which may fail a few times before, with a restart of
   * the job in between. At most {@link Long#MAX_VALUE} ms.
   */
  public Duration longestTransaction(Duration restart) {
    BigInteger millis =
        BigInteger.valueOf(interval.toMillis())
            .add(BigInteger.valueOf(timeout.toMillis()))
            .multiply(BigInteger.valueOf(1L + Math.max(0, tolerableFailures)))
            .add(BigInteger.valueOf(restart.toMillis()));
    return Duration.ofMillis(millis.min(BigInteger.valueOf(Long.MAX_VALUE)).longValueExact());
  }
}
