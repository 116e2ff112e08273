/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.apache.flink.runtime.operators.coordination.CoordinationRequest;
import org.apache.flink.runtime.operators.coordination.CoordinationResponse;
import org.apache.flink.streaming.api.operators.collect.CollectCoordinationResponse;
import org.apache.flink.util.function.ThrowingRunnable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads a {@link ControlBoard}, for one subtask: one request at a time is under way, and its
 * answer, which waits until there is something, is a mail. So it is read while the operator is
 * full, too.
 *
 * <p>A job manager that does not answer is asked again after a second, for as long as the task
 * lives: Flink itself ends a task whose job manager is gone.
 */
final class ControlFeed {
  private static final Logger LOG = LoggerFactory.getLogger(ControlFeed.class);
  private static final Duration AGAIN = Duration.ofSeconds(1);

  /** The subtask. */
  interface Line {
    /** Sends to the operator's coordinator. */
    CompletableFuture<CoordinationResponse> send(CoordinationRequest request) throws IOException;

    /** Runs on the task's thread; from any thread. */
    void mail(ThrowingRunnable<? extends Exception> action, String what);

    /** Runs on the task's thread after a time; task thread. */
    void later(Duration after, Runnable action);
  }

  private final String board;
  private final Line line;
  private final Consumer<byte[]> read;
  private String edition = "";
  private long number;
  private boolean failed;

  /**
   * @param read told each message, on the task's thread
   */
  ControlFeed(String board, Line line, Consumer<byte[]> read) {
    this.board = board;
    this.line = line;
    this.read = read;
  }

  /** Begins to read, and goes on by itself; task thread. */
  void ask() {
    CompletableFuture<CoordinationResponse> answer;
    try {
      answer = line.send(new ControlRequest.After(board, edition, number));
    } catch (IOException | RuntimeException e) {
      answer = CompletableFuture.failedFuture(e);
    }
    answer.whenComplete(
        (response, failure) -> line.mail(() -> answered(response, failure), "messages have come"));
  }

  private void answered(CoordinationResponse response, Throwable failure) throws IOException {
    if (failure != null) {
      if (!failed) {
        LOG.warn(
            "The job manager does not answer with what is on board {}. Asking again every {}.",
            board,
            AGAIN,
            failure);
      }
      failed = true;
      line.later(AGAIN, this::ask);
      return;
    }
    if (response == null) {
      return; // a test harness, which has no coordinators
    }
    failed = false;
    CollectCoordinationResponse known = (CollectCoordinationResponse) response;
    ControlBoard.messages(known).forEach(read);
    edition = known.getVersion();
    number = known.getLastCheckpointedOffset();
    ask();
  }
}
