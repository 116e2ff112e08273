/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.awaitility.Awaitility.await;

import java.time.Duration;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.flink.api.common.JobID;
import org.apache.flink.runtime.checkpoint.CheckpointStatsCounts;
import org.apache.flink.runtime.checkpoint.CheckpointStatsSnapshot;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStats;
import org.apache.flink.runtime.checkpoint.FailedCheckpointStats;
import org.apache.flink.runtime.executiongraph.AccessExecutionGraph;
import org.apache.flink.runtime.executiongraph.AccessExecutionVertex;
import org.apache.flink.runtime.executiongraph.ErrorInfo;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.awaitility.core.ConditionTimeoutException;
import org.awaitility.core.TerminalFailureException;

/** The checkpoints of a job that runs in this process. */
record JobCheckpoints(MiniCluster cluster, JobID job) {
  /** More checkpoints are completed, each of them begun after this call. */
  void awaitMore(int many, Duration patience) throws Exception {
    long now = completed();
    try {
      await("checkpoints while the operator is full")
          .atMost(patience)
          .failFast(() -> cluster.getJobStatus(job).get().isTerminalState())
          .until(() -> completed() > now + many); // one may have begun before
    } catch (ConditionTimeoutException | TerminalFailureException e) {
      throw new AssertionError(state(), e);
    }
  }

  /** What says why a job makes no checkpoint. */
  private String state() throws Exception {
    AccessExecutionGraph graph = cluster.getExecutionGraph(job).get();
    CheckpointStatsCounts counts = checkpoints().getCounts();
    StringBuilder text =
        new StringBuilder(
            "%s; failure %s; %d checkpoints completed, %d failed, %d on their way; of the last that failed: %s"
                .formatted(
                    graph.getState(),
                    Optional.ofNullable(graph.getFailureInfo())
                        .map(ErrorInfo::getExceptionAsString)
                        .orElse("none"),
                    counts.getNumberOfCompletedCheckpoints(),
                    counts.getNumberOfFailedCheckpoints(),
                    counts.getNumberOfInProgressCheckpoints(),
                    Optional.ofNullable(checkpoints().getHistory().getLatestFailedCheckpoint())
                        .map(FailedCheckpointStats::getFailureMessage)
                        .orElse("none")));
    for (AccessExecutionVertex task : graph.getAllExecutionVertices()) {
      text.append(
          "%n%s %s".formatted(task.getTaskNameWithSubtaskIndex(), task.getExecutionState()));
    }
    Thread.getAllStackTraces()
        .forEach(
            (thread, stack) -> {
              if (thread.getName().matches("(Source|text to image).*\\)#\\d+")) {
                text.append("%n%s:".formatted(thread.getName()));
                Stream.of(stack).limit(12).forEach(at -> text.append("%n  %s".formatted(at)));
              }
            });
    return text.toString();
  }

  private long completed() throws Exception {
    return checkpoints().getCounts().getNumberOfCompletedCheckpoints();
  }

  CompletedCheckpointStats latest() throws Exception {
    return checkpoints().getHistory().getLatestCompletedCheckpoint();
  }

  private CheckpointStatsSnapshot checkpoints() throws Exception {
    return cluster.getExecutionGraph(job).get().getCheckpointStatsSnapshot();
  }
}
