/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.util.List;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.streaming.api.graph.StreamEdge;
import org.apache.flink.streaming.runtime.partitioner.CustomPartitionerWrapper;
import org.apache.flink.streaming.runtime.tasks.SourceOperatorStreamTask;
import org.apache.flink.streaming.runtime.tasks.StreamTask;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How requests reach the operator's task, which decides whether a checkpoint can pass while the
 * operator is full: a barrier passes a closed {@link CapacityGate} only where it does not queue
 * behind records.
 */
enum JobShape {
  CHAINED_SOURCE(
      true,
      "Checkpoints and savepoints do not wait while the operator is full: its source is chained to"
          + " it."),
  UNALIGNED_EXCHANGE(
      true,
      "Checkpoints do not wait while the operator is full: they are unaligned. Savepoints are"
          + " always aligned and wait until all requests before their barrier are admitted. Chain"
          + " the operator to its source where that takes too long."),
  ALIGNED_EXCHANGE(
      false,
      "Checkpoints wait while the operator is full until all requests before their barrier are"
          + " admitted. Set 'execution.checkpointing.unaligned.enabled' to true, or chain the"
          + " operator to its source."),
  FIXED_EDGE(
      false,
      "Checkpoints wait while the operator is full until all requests before their barrier are"
          + " admitted: a forward, rescale, broadcast or custom edge into the operator's task"
          + " cannot have unaligned checkpoints. Add rebalance() or keyBy() before the operator and"
          + " set 'execution.checkpointing.unaligned.enabled' to true, or chain the operator to its"
          + " source."),
  NO_GATE(
      false,
      "Checkpoints wait while the operator is full until a request is done: the task's input cannot"
          + " be paused.");

  private static final Logger LOG = LoggerFactory.getLogger(JobShape.class);

  private final boolean passes;
  private final String description;

  JobShape(boolean passes, String description) {
    this.passes = passes;
    this.description = description;
  }

  /**
   * @param gated whether a {@link CapacityGate} stands before the task's input
   */
  static JobShape of(StreamTask<?, ?> task, boolean gated) {
    if (!gated) {
      return NO_GATE;
    }
    if (task instanceof SourceOperatorStreamTask) {
      return CHAINED_SOURCE;
    }
    List<StreamEdge> inputs =
        task.getConfiguration()
            .getInPhysicalEdges(task.getEnvironment().getUserCodeClassLoader().asClassLoader());
    if (!inputs.stream().allMatch(JobShape::canBeUnaligned)) {
      return FIXED_EDGE;
    }
    return CheckpointingOptions.isUnalignedCheckpointEnabled(
            task.getEnvironment().getJobConfiguration())
        ? UNALIGNED_EXCHANGE
        : ALIGNED_EXCHANGE;
  }

  /** Says it in the log: as a warning where checkpoints wait. */
  void log() {
    if (passes) {
      LOG.info("{}", description);
    } else {
      LOG.warn("{}", description);
    }
  }

  /** Flink 2.2 does not say it of a custom partitioner, but refuses such a job. */
  private static boolean canBeUnaligned(StreamEdge edge) {
    return edge.supportsUnalignedCheckpoints()
        && edge.getPartitioner().isSupportsUnalignedCheckpoint()
        && !(edge.getPartitioner() instanceof CustomPartitionerWrapper);
  }

  /** Whether a checkpoint can be made while the operator is full. */
  boolean passes() {
    return passes;
  }

  /** For the log: what happens to checkpoints, and what to do about it. */
  String description() {
    return description;
  }
}
