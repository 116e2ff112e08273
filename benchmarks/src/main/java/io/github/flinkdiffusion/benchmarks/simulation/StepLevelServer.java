/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import io.github.flinkdiffusion.ops.batching.BatchPolicy;
import io.github.flinkdiffusion.ops.batching.BatchSession;
import io.github.flinkdiffusion.ops.batching.BatchingException;
import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.batching.RequestListener;
import io.github.flinkdiffusion.ops.batching.SessionListener;
import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.batching.Submission;
import io.github.flinkdiffusion.ops.batching.Work;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import java.util.OptionalLong;
import java.util.function.Consumer;
import java.util.function.Function;

/** The project's own {@link StepBatcher}. */
public final class StepLevelServer implements Server {
  private final StepBatcher batcher;
  private final BatchSession session;
  private final Function<Arrival, GenerationRequest> requests;

  /**
   * @param pipeline stays the caller's
   * @param requests what an arrival asks of it
   */
  public StepLevelServer(
      DiffusionPipeline pipeline,
      Function<Arrival, GenerationRequest> requests,
      int rowLimit,
      Clock clock) {
    this.requests = requests;
    batcher = new StepBatcher(pipeline, BatchPolicy.ofRows(rowLimit), clock);
    session =
        batcher.join(
            new SessionListener() {
              @Override
              public void onDeviceFailed(BatchingException cause) {
                throw cause;
              }
            });
  }

  @Override
  public void submit(Arrival arrival, Consumer<Arrival> done) {
    session.submit(
        new Work.Fresh(requests.apply(arrival)),
        Submission.DEFAULT,
        new RequestListener() {
          @Override
          public void onFinished(GeneratedImage image) {
            done.accept(arrival);
          }

          @Override
          public void onFailed(RequestFailure failure) {
            throw new IllegalStateException(failure.toString());
          }
        });
  }

  @Override
  public boolean runOnce() {
    return batcher.runOnce();
  }

  @Override
  public OptionalLong wakesAt() {
    return OptionalLong.empty();
  }

  @Override
  public void close() {
    session.close();
    batcher.close();
  }
}
