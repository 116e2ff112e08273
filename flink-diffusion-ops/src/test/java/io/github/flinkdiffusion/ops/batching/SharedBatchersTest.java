/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.fakes.FakePipeline.request;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The registry with real device threads. */
@Timeout(60) // a deadlock must not hang the build
class SharedBatchersTest {
  private static final SharedBatchers.Key KEY = new SharedBatchers.Key("model", "cpu");
  private static final BatchSettings SETTINGS = BatchSettings.ofRows(4);
  private static final Patience PATIENCE = new Patience(Duration.ofMinutes(1), "the test's");

  private final SharedBatchers shared =
      new SharedBatchers(
          (name, settings, opener) -> DeviceThread.start(name, settings, Ticker.SYSTEM, opener));
  private final List<FakePipeline> opened = new CopyOnWriteArrayList<>();
  private final Callable<DiffusionPipeline> opener =
      () -> {
        FakePipeline pipeline = new FakePipeline();
        assertThat(opened).as("models on the device").allMatch(other -> other.closed);
        opened.add(pipeline);
        return pipeline;
      };
  private final ExecutorService others = Executors.newCachedThreadPool();

  @AfterEach
  void noThreadIsLeft() {
    others.shutdownNow();
    Awaitility.await()
        .untilAsserted(
            () -> {
              assertThat(shared.size()).isZero();
              assertThat(Thread.getAllStackTraces().keySet())
                  .noneMatch(thread -> thread.getName().equals("diffusion-device-cpu"));
            });
  }

  @Test
  void aModelIsLoadedOnceAndFreedWhenTheLastCallerIsGone() throws Exception {
    SharedBatchers.Lease first = shared.acquire(KEY, SETTINGS, opener, PATIENCE);
    SharedBatchers.Lease second = shared.acquire(KEY, SETTINGS, opener, PATIENCE);

    assertThat(second.batcher()).isSameAs(first.batcher());
    first.close();
    first.close();
    assertThat(opened).singleElement().matches(pipeline -> !pipeline.closed);
    second.close();
    awaitAllFreed();
    assertThat(opened).singleElement().matches(pipeline -> pipeline.closed);
  }

  private void awaitAllFreed() {
    Awaitility.await().until(() -> shared.size() == 0);
  }

  @Test
  void thePipelineIsOpenedUsedAndClosedByOneNamedThread() throws Exception {
    List<String> threads = new CopyOnWriteArrayList<>();
    FakePipeline pipeline = new FakePipeline();
    pipeline.beforeCall = () -> threads.add(Thread.currentThread().getName());
    try (SharedBatchers.Lease lease =
        shared.acquire(
            KEY,
            SETTINGS,
            () -> {
              threads.add(Thread.currentThread().getName());
              return pipeline;
            },
            PATIENCE)) {
      Outcome outcome = new Outcome();
      lease
          .batcher()
          .join(outcome)
          .submit(new Work.Fresh(request("a", 2)), Submission.DEFAULT, outcome);
      assertThat(outcome.image.get().request().id()).isEqualTo("a");
    }
    assertThat(threads).hasSize(5).containsOnly("diffusion-device-cpu");
  }

  @Test
  void whoComesWhileTheModelIsFreedWaitsForThatAndLoadsItAnew() throws Exception {
    CountDownLatch inCall = new CountDownLatch(1);
    CountDownLatch mayGoOn = new CountDownLatch(1);
    SharedBatchers.Lease busy = shared.acquire(KEY, SETTINGS, opener, PATIENCE);
    opened.get(0).beforeCall =
        () -> {
          inCall.countDown();
          await(mayGoOn);
        };
    Outcome outcome = new Outcome();
    busy.batcher()
        .join(outcome)
        .submit(new Work.Fresh(request("a", 2)), Submission.DEFAULT, outcome);
    inCall.await();
    busy.close();
    Future<SharedBatchers.Lease> next =
        others.submit(() -> shared.acquire(KEY, SETTINGS, opener, PATIENCE));
    assertThat(next).isNotDone();
    assertThat(opened).as("no second copy while the first is there").hasSize(1);
    mayGoOn.countDown();

    try (SharedBatchers.Lease lease = next.get()) {
      assertThat(opened).hasSize(2);
      assertThat(lease.batcher().model().info()).isEqualTo(FakePipeline.MODEL);
      assertThat(opened.get(opened.size() - 1).closed).isFalse();
    }
  }

  @Test
  void whoLeavesABusyDeviceDoesNotWaitAndTheModelIsFreedAfterTheCall() throws Exception {
    CountDownLatch inCall = new CountDownLatch(1);
    CountDownLatch mayGoOn = new CountDownLatch(1);
    SharedBatchers.Lease lease = shared.acquire(KEY, SETTINGS, opener, PATIENCE);
    FakePipeline pipeline = opened.get(0);
    pipeline.beforeCall =
        () -> {
          inCall.countDown();
          await(mayGoOn);
        };
    Outcome outcome = new Outcome();
    BatchSession session = lease.batcher().join(outcome);
    session.submit(new Work.Fresh(request("a", 100)), Submission.DEFAULT, outcome);
    inCall.await();
    session.close();
    lease.close();
    assertThat(pipeline.closed).isFalse();
    assertThat(shared.size()).isEqualTo(1);
    mayGoOn.countDown();
    awaitAllFreed();

    assertThat(pipeline.closed).isTrue();
    assertThat(pipeline.calls).containsExactly("start[a]");
    assertThat(outcome.image).isNotDone();
  }

  @Test
  void whoWaitsForAModelThatIsFreedGivesUpAfterItsTimeWithASentence() throws Exception {
    CountDownLatch mayGoOn = new CountDownLatch(1);
    leaveInACall(mayGoOn);
    Patience short_ = new Patience(Duration.ofMillis(50), "some.option");
    assertThatThrownBy(() -> shared.acquire(KEY, SETTINGS, opener, short_))
        .isInstanceOf(BatchingException.class)
        .hasMessageContaining("Model model on cpu is still loaded for tasks that have ended")
        .hasMessageContaining("some.option");
    mayGoOn.countDown();
  }

  @Test
  void anInterruptEndsTheWaitForAModelThatIsFreed() throws Exception {
    CountDownLatch mayGoOn = new CountDownLatch(1);
    leaveInACall(mayGoOn);
    Thread.currentThread().interrupt();
    assertThatThrownBy(() -> shared.acquire(KEY, SETTINGS, opener, PATIENCE))
        .isInstanceOf(InterruptedException.class);
    mayGoOn.countDown();
  }

  @Test
  void whoIsInterruptedWhileAModelIsLoadedLeavesAndTheModelIsFreedWhenItIsLoaded()
      throws Exception {
    CountDownLatch loading = new CountDownLatch(1);
    CountDownLatch mayGoOn = new CountDownLatch(1);
    FakePipeline pipeline = new FakePipeline();
    Thread.currentThread().interrupt();
    assertThatThrownBy(
            () ->
                shared.acquire(
                    KEY,
                    SETTINGS,
                    () -> {
                      loading.countDown();
                      await(mayGoOn);
                      return pipeline;
                    },
                    PATIENCE))
        .isInstanceOf(InterruptedException.class);
    loading.await();
    assertThat(shared.size()).isEqualTo(1);
    mayGoOn.countDown();
    awaitAllFreed();
    assertThat(pipeline.closed).isTrue();
  }

  /** The last lease is released while a call runs. */
  private void leaveInACall(CountDownLatch mayGoOn) throws InterruptedException {
    CountDownLatch inCall = new CountDownLatch(1);
    SharedBatchers.Lease lease = shared.acquire(KEY, SETTINGS, opener, PATIENCE);
    opened.get(0).beforeCall =
        () -> {
          inCall.countDown();
          await(mayGoOn);
        };
    Outcome outcome = new Outcome();
    BatchSession session = lease.batcher().join(outcome);
    session.submit(new Work.Fresh(request("a", 2)), Submission.DEFAULT, outcome);
    inCall.await();
    session.close();
    lease.close();
  }

  @Test
  void theProcessesEndWaitsForTheCurrentCallAndNobodyIsTold() throws Exception {
    CountDownLatch inCall = new CountDownLatch(1);
    CountDownLatch mayGoOn = new CountDownLatch(1);
    FakePipeline pipeline = new FakePipeline();
    pipeline.beforeCall =
        () -> {
          inCall.countDown();
          await(mayGoOn);
        };
    DeviceThread device = DeviceThread.start("cpu", SETTINGS, Ticker.SYSTEM, () -> pipeline);
    Outcome outcome = new Outcome();
    device
        .batcher()
        .join(outcome)
        .submit(new Work.Fresh(request("a", 100)), Submission.DEFAULT, outcome);
    inCall.await();
    Thread exit = new Thread(device::endAtExit);
    exit.start();
    Awaitility.await().until(() -> exit.getState() == Thread.State.TIMED_WAITING);
    assertThat(pipeline.closed).isFalse();
    mayGoOn.countDown();
    exit.join();

    assertThat(pipeline.closed).isTrue();
    assertThat(pipeline.calls).containsExactly("start[a]");
    assertThat(outcome.image).isNotDone();
  }

  @Test
  void whatIsLeftIsKnownWhileACallRuns() throws Exception {
    CountDownLatch inStep = new CountDownLatch(1);
    CountDownLatch mayGoOn = new CountDownLatch(1);
    try (SharedBatchers.Lease lease = shared.acquire(KEY, SETTINGS, opener, PATIENCE)) {
      FakePipeline pipeline = opened.get(0);
      pipeline.beforeStep =
          rows -> {
            inStep.countDown();
            await(mayGoOn);
          };
      Outcome outcome = new Outcome();
      BatchSession session = lease.batcher().join(outcome);
      Ticket ticket =
          session.submit(new Work.Fresh(request("a", 1000)), Submission.DEFAULT, outcome);
      inStep.await();

      assertThat(ticket.rest()).isInstanceOf(Work.Resumed.class);
      assertThat(((Work.Resumed) ticket.rest()).snapshot().step()).isZero();
      session.close();
      mayGoOn.countDown();
    }
  }

  @Test
  void aModelThatDoesNotLoadFailsEveryCallerWithTheReason() {
    Callable<DiffusionPipeline> broken =
        () -> {
          throw new IllegalStateException("unet/config.json is missing");
        };
    assertThatThrownBy(() -> shared.acquire(KEY, SETTINGS, broken, PATIENCE))
        .isInstanceOf(BatchingException.class)
        .hasMessageContaining("cpu")
        .hasMessageContaining("unet/config.json is missing");
  }

  @Test
  void afterAFailureOfTheDeviceTheModelIsLoadedAnew() throws Exception {
    SharedBatchers.Lease failed = shared.acquire(KEY, SETTINGS, opener, PATIENCE);
    opened.get(0).deviceErrors.add("a@0");
    Outcome outcome = new Outcome();
    failed
        .batcher()
        .join(outcome)
        .submit(new Work.Fresh(request("a", 2)), Submission.DEFAULT, outcome);
    assertThatThrownBy(() -> outcome.image.get())
        .isInstanceOf(ExecutionException.class)
        .hasRootCauseMessage("The device broke.");

    try (SharedBatchers.Lease fresh = shared.acquire(KEY, SETTINGS, opener, PATIENCE)) {
      assertThat(opened).hasSize(2);
      assertThat(opened.get(0).closed).isTrue();
      assertThat(fresh.batcher().hasFailed()).isFalse();
      failed.close();
      assertThat(opened.get(1).closed).isFalse();
    }
  }

  @Test
  void whoComesAfterTheFilesWereReplacedRunsWhatIsInThemNow() throws Exception {
    SharedBatchers.Key before = new SharedBatchers.Key("model", "cpu", "before");
    SharedBatchers.Key after = new SharedBatchers.Key("model", "cpu", "after");
    ModelInfo replaced = new ModelInfo("fake", "digest of the new weights");
    try (SharedBatchers.Lease first =
            shared.acquire(before, SETTINGS, FakePipeline::new, PATIENCE, () -> fail("not asked"));
        SharedBatchers.Lease second =
            shared.acquire(
                after, SETTINGS, () -> new FakePipeline(replaced), PATIENCE, replaced::digest);
        SharedBatchers.Lease third =
            shared.acquire(
                after, SETTINGS, FakePipeline::new, PATIENCE, () -> fail("loaded already"))) {
      assertThat(first.batcher().model().info()).isEqualTo(FakePipeline.MODEL);
      assertThat(second.batcher().model().info()).isEqualTo(replaced);
      assertThat(third.batcher()).isSameAs(second.batcher());
    }
  }

  @Test
  void whoComesAfterTheFilesWereReplacedByEqualOnesSharesTheModel() throws Exception {
    SharedBatchers.Key before = new SharedBatchers.Key("model", "cpu", "before");
    SharedBatchers.Key after = new SharedBatchers.Key("model", "cpu", "after");
    try (SharedBatchers.Lease first =
            shared.acquire(before, SETTINGS, FakePipeline::new, PATIENCE, () -> fail("not asked"));
        SharedBatchers.Lease second =
            shared.acquire(
                after, SETTINGS, () -> fail("not opened"), PATIENCE, FakePipeline.MODEL::digest)) {
      assertThat(second.batcher()).isSameAs(first.batcher());
    }
  }

  @Test
  void differentDevicesHaveDifferentBatchers() throws Exception {
    SharedBatchers.Key gpu = new SharedBatchers.Key("model", "gpu:0");
    try (SharedBatchers.Lease onCpu = shared.acquire(KEY, SETTINGS, FakePipeline::new, PATIENCE);
        SharedBatchers.Lease onGpu = shared.acquire(gpu, SETTINGS, FakePipeline::new, PATIENCE)) {
      assertThat(onGpu.batcher()).isNotSameAs(onCpu.batcher());
      assertThat(shared.size()).isEqualTo(2);
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private static final class Outcome implements RequestListener, SessionListener {
    final CompletableFuture<GeneratedImage> image = new CompletableFuture<>();

    @Override
    public void onFinished(GeneratedImage finished) {
      image.complete(finished);
    }

    @Override
    public void onFailed(RequestFailure failure) {
      image.completeExceptionally(new IllegalStateException(failure.message()));
    }

    @Override
    public void onDeviceFailed(BatchingException cause) {
      image.completeExceptionally(cause);
    }
  }
}
