package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.batching.FakePipeline.request;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The registry with real device threads. */
@Timeout(60) // a deadlock must not hang the build
class SharedBatchersTest {
  private static final SharedBatchers.Key KEY = new SharedBatchers.Key("model", "cpu");
  private static final BatchSettings SETTINGS = BatchSettings.ofRows(4);

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
    assertThat(shared.size()).isZero();
    assertThat(Thread.getAllStackTraces().keySet())
        .noneMatch(thread -> thread.getName().equals("diffusion-device-cpu"));
  }

  @Test
  void aModelIsLoadedOnceAndFreedWhenTheLastCallerIsGone() throws Exception {
    SharedBatchers.Lease first = shared.acquire(KEY, SETTINGS, opener);
    SharedBatchers.Lease second = shared.acquire(KEY, SETTINGS, opener);

    assertThat(second.batcher()).isSameAs(first.batcher());
    first.close();
    first.close();
    assertThat(opened).singleElement().matches(pipeline -> !pipeline.closed);
    second.close();
    assertThat(opened).singleElement().matches(pipeline -> pipeline.closed);
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
            })) {
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
    SharedBatchers.Lease busy = shared.acquire(KEY, SETTINGS, opener);
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
    Future<?> closing = others.submit(busy::close);
    Future<SharedBatchers.Lease> next = others.submit(() -> shared.acquire(KEY, SETTINGS, opener));
    mayGoOn.countDown();
    closing.get();

    try (SharedBatchers.Lease lease = next.get()) {
      // Which came first, the closing or the acquiring, is open; both are in order.
      assertThat(lease.batcher().model()).isEqualTo(FakePipeline.MODEL);
      assertThat(opened.get(opened.size() - 1).closed).isFalse();
    }
  }

  @Test
  void closeWhileBusyEndsAfterTheCurrentCallAndLeavesNothing() throws Exception {
    CountDownLatch inCall = new CountDownLatch(1);
    CountDownLatch mayGoOn = new CountDownLatch(1);
    SharedBatchers.Lease lease = shared.acquire(KEY, SETTINGS, opener);
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
    Future<?> closing = others.submit(lease::close);
    mayGoOn.countDown();
    closing.get();

    assertThat(pipeline.closed).isTrue();
    assertThat(pipeline.calls).containsExactly("start[a]");
    assertThat(outcome.image).isNotDone();
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
    try (SharedBatchers.Lease lease = shared.acquire(KEY, SETTINGS, opener)) {
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
    assertThatThrownBy(() -> shared.acquire(KEY, SETTINGS, broken))
        .isInstanceOf(BatchingException.class)
        .hasMessageContaining("cpu")
        .hasMessageContaining("unet/config.json is missing");
  }

  @Test
  void afterAFailureOfTheDeviceTheModelIsLoadedAnew() throws Exception {
    SharedBatchers.Lease failed = shared.acquire(KEY, SETTINGS, opener);
    opened.get(0).deviceErrors.add("a@0");
    Outcome outcome = new Outcome();
    failed
        .batcher()
        .join(outcome)
        .submit(new Work.Fresh(request("a", 2)), Submission.DEFAULT, outcome);
    assertThatThrownBy(() -> outcome.image.get())
        .isInstanceOf(ExecutionException.class)
        .hasRootCauseMessage("The device broke.");

    try (SharedBatchers.Lease fresh = shared.acquire(KEY, SETTINGS, opener)) {
      assertThat(opened).hasSize(2);
      assertThat(opened.get(0).closed).isTrue();
      assertThat(fresh.batcher().hasFailed()).isFalse();
      failed.close();
      assertThat(opened.get(1).closed).isFalse();
    }
  }

  @Test
  void differentDevicesHaveDifferentBatchers() throws Exception {
    SharedBatchers.Key gpu = new SharedBatchers.Key("model", "gpu:0");
    try (SharedBatchers.Lease onCpu = shared.acquire(KEY, SETTINGS, FakePipeline::new);
        SharedBatchers.Lease onGpu = shared.acquire(gpu, SETTINGS, FakePipeline::new)) {
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
