/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.util.concurrent.CompletionException;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.runtime.messages.FlinkJobTerminatedWithoutCancellationException;
import org.apache.flink.util.ExceptionUtils;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/** A broker for a class's tests; the job of each ends with it. */
final class JobOnKafka implements BeforeAllCallback, AfterEachCallback, AfterAllCallback {
  private EmbeddedKafka kafka;
  private JobClient job;

  @Override
  public void beforeAll(ExtensionContext context) {
    kafka = EmbeddedKafka.builder().start();
  }

  EmbeddedKafka kafka() {
    return kafka;
  }

  /** Of the test that runs; it is cancelled at the test's end, if it has not ended by then. */
  void runs(JobClient started) {
    job = started;
  }

  JobClient client() {
    return job;
  }

  /** Cancels the test's job, if it runs, and waits for its end. */
  void end() throws Exception {
    if (job == null) {
      return;
    }
    if (!job.getJobExecutionResult().isDone()) {
      job.cancel().handle(JobOnKafka::cancelledOrEnded).get();
    }
    awaitEnd();
  }

  /** A job may end by itself while it is being cancelled. */
  private static Void cancelledOrEnded(Void cancelled, Throwable failure) {
    if (failure != null
        && ExceptionUtils.findThrowable(
                failure, FlinkJobTerminatedWithoutCancellationException.class)
            .isEmpty()) {
      throw new CompletionException(failure);
    }
    return null;
  }

  /** Waits for the end of a job that was told to stop, or that ends by itself. */
  void awaitEnd() throws Exception {
    job.getJobExecutionResult().handle((result, cancelled) -> null).get();
    job = null;
  }

  @Override
  public void afterEach(ExtensionContext context) throws Exception {
    end();
  }

  @Override
  public void afterAll(ExtensionContext context) {
    kafka.close();
  }
}
