/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.batching.BatchSession;
import io.github.flinkdiffusion.ops.batching.BatchSettings;
import io.github.flinkdiffusion.ops.batching.BatchingException;
import io.github.flinkdiffusion.ops.batching.Patience;
import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.batching.RequestListener;
import io.github.flinkdiffusion.ops.batching.SessionListener;
import io.github.flinkdiffusion.ops.batching.SharedBatchers;
import io.github.flinkdiffusion.ops.batching.Submission;
import io.github.flinkdiffusion.ops.batching.Work;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.streaming.api.functions.async.ResultFuture;
import org.apache.flink.streaming.api.functions.async.RichAsyncFunction;

/**
 * What a user would write for {@code AsyncDataStream}: a call of the same engine for each request.
 * Flink saves the requests that wait for an answer; what was done for them it does not know.
 */
final class PerRequest extends RichAsyncFunction<PromptEvent, String> {
  private static final long serialVersionUID = 1L;

  private final CountedPipelines pipelines;
  private final int rows;
  private transient SharedBatchers.Lease lease;
  private transient BatchSession session;
  private transient Set<ResultFuture<String>> open;

  PerRequest(CountedPipelines pipelines, int rows) {
    this.pipelines = pipelines;
    this.rows = rows;
  }

  @Override
  public void open(OpenContext context) throws Exception {
    open = ConcurrentHashMap.newKeySet();
    lease =
        SharedBatchers.ofProcess()
            .acquire(
                new SharedBatchers.Key(pipelines.model(), "cpu"),
                BatchSettings.ofRows(rows),
                () -> pipelines.open("cpu"),
                new Patience(Duration.ofMinutes(5), "not to be set"));
    session =
        lease
            .batcher()
            .join(
                new SessionListener() {
                  @Override
                  public void onDeviceFailed(BatchingException cause) {
                    open.forEach(each -> each.completeExceptionally(cause));
                  }
                });
  }

  @Override
  public void asyncInvoke(PromptEvent prompt, ResultFuture<String> result) {
    open.add(result);
    session.submit(
        new Work.Fresh(
            lease.batcher().model().prepare(MiniEmoji.spec(prompt.getId(), prompt.getSteps()))),
        Submission.DEFAULT,
        new RequestListener() {
          @Override
          public void onFinished(GeneratedImage image) {
            open.remove(result);
            result.complete(List.of(prompt.getId()));
          }

          @Override
          public void onFailed(RequestFailure failure) {
            open.remove(result);
            result.completeExceptionally(new IllegalStateException(failure.message()));
          }
        });
  }

  @Override
  public void close() {
    if (session != null) {
      session.close();
    }
    if (lease != null) {
      lease.close();
    }
  }
}
