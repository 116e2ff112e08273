/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.hotpath;

import io.github.flinkdiffusion.benchmarks.simulation.StandInPipeline;
import io.github.flinkdiffusion.ops.batching.BatchPolicy;
import io.github.flinkdiffusion.ops.batching.BatchSession;
import io.github.flinkdiffusion.ops.batching.BatchingException;
import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.batching.RequestListener;
import io.github.flinkdiffusion.ops.batching.SessionListener;
import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.batching.Submission;
import io.github.flinkdiffusion.ops.batching.Ticker;
import io.github.flinkdiffusion.ops.batching.Work;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/**
 * What {@link StepBatcher} itself costs a network call, with a pipeline that costs nothing: to
 * choose who shares the call, and to tell what became of them.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class BatcherBenchmark {
  private static final int ROWS = 16;
  private static final int STEPS = 20;
  private static final int CALLS = 100;

  private static final RequestListener NOBODY =
      new RequestListener() {
        @Override
        public void onFinished(GeneratedImage image) {
          // Only the calls matter.
        }

        @Override
        public void onFailed(RequestFailure failure) {
          throw new IllegalStateException(failure.toString());
        }
      };

  private static final SessionListener SESSION =
      new SessionListener() {
        @Override
        public void onDeviceFailed(BatchingException cause) {
          throw cause;
        }
      };

  /** Requests in flight: as many as share a call, or a queue of them. */
  @Param({"16", "1000"})
  private int inFlight;

  private StepBatcher batcher;
  private BatchSession session;
  private long next;

  @Setup(Level.Invocation)
  public void fill() {
    batcher = new StepBatcher(StandInPipeline.costless(), BatchPolicy.ofRows(ROWS), Ticker.SYSTEM);
    session = batcher.join(SESSION);
    for (int i = 0; i < inFlight; i++) {
      GenerationRequest request = StandInPipeline.request("r" + next++, STEPS);
      session.submit(new Work.Fresh(request), Submission.DEFAULT, NOBODY);
    }
  }

  @TearDown(Level.Invocation)
  public void close() {
    session.close();
    batcher.close();
  }

  /** A hundred calls, or fewer when nothing is left to do. */
  @Benchmark
  @OperationsPerInvocation(CALLS)
  public int call() {
    int calls = 0;
    while (calls < CALLS && batcher.runOnce()) {
      calls++;
    }
    return calls;
  }
}
