/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.RejectedExecutionException;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.runtime.execution.Environment;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.operators.coordination.CoordinationRequest;
import org.apache.flink.runtime.operators.coordination.CoordinationResponse;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.apache.flink.util.SerializedValue;
import org.apache.flink.util.function.ThrowingRunnable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** How a subtask's parts reach its own thread, its clock and its coordinator. */
final class SubtaskLink implements ControlFeed.Line {
  private static final Logger LOG = LoggerFactory.getLogger(SubtaskLink.class);

  private final MailboxExecutor mailbox;
  private final ProcessingTimeService time;
  private final Environment task;
  private final OperatorID operator;

  SubtaskLink(
      MailboxExecutor mailbox, ProcessingTimeService time, Environment task, OperatorID operator) {
    this.mailbox = mailbox;
    this.time = time;
    this.task = task;
    this.operator = operator;
  }

  /** Sends a mail, unless the task has ended and nobody reads it any more. */
  @Override
  public void mail(ThrowingRunnable<? extends Exception> action, String what) {
    try {
      mailbox.execute(action, what);
    } catch (RejectedExecutionException e) {
      LOG.debug("The task has ended before: {}", what, e);
    }
  }

  /** Fails the task, by mail; any thread. */
  void failTask(String message, Throwable cause) {
    mail(
        () -> {
          throw new DiffusionException(message, cause);
        },
        message);
  }

  @Override
  public void later(Duration after, Runnable action) {
    time.registerTimer(time.getCurrentProcessingTime() + after.toMillis(), now -> action.run());
  }

  /** Milliseconds since 1970-01-01 UTC; any thread. */
  long now() {
    return time.getCurrentProcessingTime();
  }

  @Override
  public CompletableFuture<CoordinationResponse> send(CoordinationRequest request)
      throws IOException {
    return task.getOperatorCoordinatorEventGateway()
        .sendRequestToCoordinator(operator, new SerializedValue<>(request));
  }
}
