/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.fakes.FakePipeline.request;

import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;

/** Leaves a device in the middle of a call; run by {@link ClassLoaderTest} in a class loader. */
public final class LeavingProgram {
  private LeavingProgram() {}

  /**
   * @param mayGoOn what the device's call waits for
   * @param end set to the words of {@link AtTheEnd} when the pipeline was closed in order
   */
  public static void leaveABusyDevice(CountDownLatch mayGoOn, AtomicReference<String> end)
      throws Exception {
    CountDownLatch inCall = new CountDownLatch(1);
    FakePipeline pipeline = new FakePipeline();
    pipeline.beforeCall =
        () -> {
          inCall.countDown();
          try {
            mayGoOn.await();
          } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
          }
        };
    pipeline.onClose = () -> end.set(AtTheEnd.words());
    SharedBatchers.Lease lease =
        SharedBatchers.ofProcess()
            .acquire(
                new SharedBatchers.Key("fake", "cpu"),
                BatchSettings.ofRows(4),
                () -> (DiffusionPipeline) pipeline,
                new Patience(Duration.ofMinutes(1), "none"));
    BatchSession session = lease.batcher().join(cause -> {});
    session.submit(
        new Work.Fresh(request("a", 3)),
        Submission.DEFAULT,
        new RequestListener() {
          @Override
          public void onFinished(GeneratedImage image) {}

          @Override
          public void onFailed(RequestFailure failure) {}
        });
    inCall.await();
    session.close();
    lease.close();
  }

  /** A class that nobody needs before the device has ended its call. */
  private static final class AtTheEnd {
    static String words() {
      return String.join(" ", List.of("closed", "in", "order"));
    }
  }
}
