/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.fakes.ManualDevices;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** Three models of 10 bytes each on a device that has room for two. */
class ModelPoolTest {
  private static final Duration TURN = Duration.ofSeconds(10);
  private static final Duration STAY = Duration.ofSeconds(20);

  private final ManualDevices devices = new ManualDevices();
  private final ModelPool pool = devices.services.models();
  private final ModelPool.Member member = join(new MemoryShare(25L, TURN));
  private final FakePipelines a = model("a", 10);
  private final FakePipelines b = model("b", 10);
  private final FakePipelines c = model("c", 10);

  private static FakePipelines model(String name, long bytes) {
    return new FakePipelines(new ModelInfo(name, "digest-of-" + name), bytes);
  }

  private ModelPool.Member join(MemoryShare share) {
    return join(share, BatchSettings.ofRows(4), Duration.ZERO);
  }

  private ModelPool.Member join(MemoryShare share, BatchSettings settings, Duration stay) {
    return pool.join(
        "cpu", share, settings, new Patience(Duration.ofSeconds(1), "patience"), stay, cause -> {});
  }

  private ModelPool.Member staying(MemoryShare share) {
    return join(share, BatchSettings.ofRows(4), STAY);
  }

  private CompletableFuture<ModelPool.Use> use(FakePipelines model) {
    return member.use(model, true);
  }

  private void letTimePass(Duration time) {
    devices.ticker.advance(time);
    int alarms = devices.alarms.size();
    for (int i = 0; i < alarms; i++) {
      devices.alarms.poll().run();
    }
  }

  private static boolean isLoaded(FakePipelines model) {
    return !model.opened.isEmpty() && !model.last().closed;
  }

  @Test
  void aModelIsLoadedByItsFirstUseAndStaysForTheNext() {
    use(a).join().close();
    use(a).join().close();
    assertThat(a.opened).hasSize(1);
    assertThat(pool.counts("cpu", "a")).isEqualTo(new ModelPool.Counts(1, 0, 10));
  }

  @Test
  void theLeastRecentlyUsedModelWithoutRequestsLeaves() {
    use(a).join().close();
    use(b).join().close();
    use(a).join().close();
    use(c).join().close();
    assertThat(isLoaded(a)).isTrue();
    assertThat(isLoaded(b)).isFalse();
    assertThat(isLoaded(c)).isTrue();
    assertThat(pool.counts("cpu", "b")).isEqualTo(new ModelPool.Counts(1, 1, 0));
    assertThat(pool.mostBytes("cpu")).isEqualTo(20);
  }

  @Test
  void aModelWithRequestsStaysUntilItsLastOneIsDone() {
    ModelPool.Use busy = use(a).join();
    use(b).join();
    CompletableFuture<ModelPool.Use> waiting = use(c);
    letTimePass(TURN);
    assertThat(waiting).isNotDone();
    assertThat(isLoaded(a)).isTrue();

    busy.close();
    assertThat(isLoaded(a)).isFalse();
    assertThat(waiting.join().batcher().model().info().name()).isEqualTo("c");
    assertThat(isLoaded(b)).as("it has a request").isTrue();
  }

  @Test
  void aModelInUseAcceptsRequestsForItsTurnAndThenOthersGoFirst() {
    ModelPool.Use first = use(a).join();
    use(b).join();
    CompletableFuture<ModelPool.Use> waiting = use(c);
    ModelPool.Use second = use(a).join(); // its turn is not over
    letTimePass(TURN);
    CompletableFuture<ModelPool.Use> third = use(a);
    assertThat(third).isNotDone();
    first.close();
    assertThat(waiting).isNotDone();
    second.close();

    ModelPool.Use c1 = waiting.join();
    assertThat(third).as("room comes with the turns of b and c").isNotDone();
    c1.close();
    assertThat(third.join().batcher().model().info().name()).isEqualTo("a");
    assertThat(a.opened).hasSize(2);
    assertThat(pool.mostBytes("cpu")).isEqualTo(20);
  }

  @Test
  void aModelAcceptsRequestsAgainWhenNobodyWaitsForItsMemoryAnyMore() {
    use(a).join();
    use(b).join();
    CompletableFuture<ModelPool.Use> waiting = use(c);
    letTimePass(TURN);
    CompletableFuture<ModelPool.Use> next = use(a);
    assertThat(next).isNotDone();
    waiting.cancel(false);
    assertThat(next).isDone();
    assertThat(c.opened).isEmpty();
  }

  @Test
  void modelsThatWaitAreLoadedInTheirOrder() {
    FakePipelines d = model("d", 10);
    ModelPool.Use busy = use(a).join();
    ModelPool.Use other = use(b).join();
    CompletableFuture<ModelPool.Use> first = use(c);
    CompletableFuture<ModelPool.Use> second = use(d);
    letTimePass(TURN);
    other.close();
    assertThat(first).isDone();
    assertThat(second).isNotDone();
    busy.close();
    assertThat(second).isDone();
  }

  @Test
  void aModelThatDoesNotFitAloneIsRefusedAndOthersGoOn() {
    CompletableFuture<ModelPool.Use> large = use(model("large", 26));
    assertThatThrownBy(large::join)
        .hasCauseInstanceOf(OversizedModelException.class)
        .hasMessageContaining("large")
        .hasMessageContaining("diffusion.device.models-memory");
    assertThat(use(a)).isDone();
  }

  @Test
  void aModelLeavesWithTheLastMemberThatHasUsedIt() {
    ModelPool.Member other = join(MemoryShare.UNLIMITED);
    use(a).join().close();
    other.use(a, true).join();
    member.close();
    assertThat(isLoaded(a)).isTrue();
    other.close();
    assertThat(isLoaded(a)).isFalse();
    assertThat(pool.size()).isZero();
  }

  @Test
  void aModelThatIsNotKeptLeavesWithItsLastUse() {
    ModelPool.Use use = member.use(a, false).join();
    assertThat(isLoaded(a)).isTrue();
    use.close();
    assertThat(isLoaded(a)).isFalse();
  }

  @Test
  void aForgottenModelLeavesWhenItsLastRequestIsDone() {
    ModelPool.Use use = use(a).join();
    member.forget(a);
    assertThat(isLoaded(a)).isTrue();
    use.close();
    assertThat(isLoaded(a)).isFalse();
  }

  @Test
  void theSmallestMemoryOfADevicesUsersCounts() {
    join(new MemoryShare(15L, TURN));
    use(a).join().close();
    use(b).join().close();
    assertThat(isLoaded(a)).isFalse();
    assertThat(pool.mostBytes("cpu")).isEqualTo(10);
  }

  @Test
  void aModelThatCannotBeLoadedFailsThoseWhoWaitForItAlone() {
    assertThatThrownBy(
            () ->
                member
                    .use(
                        new FakePipelines() {
                          @Override
                          public io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline open(
                              String device) {
                            throw new IllegalStateException("No such weights.");
                          }
                        },
                        true)
                    .join())
        .rootCause()
        .hasMessage("No such weights.");
    assertThat(use(a)).isDone();
    assertThat(pool.counts("cpu", "fake").bytes()).isZero();
  }

  @Test
  void whoHasLeftWaitsForNothing() {
    use(a).join();
    use(b).join();
    CompletableFuture<ModelPool.Use> waiting = use(c);
    member.close();
    assertThat(waiting).isCancelled();
    assertThat(c.opened).isEmpty();
    assertThat(pool.size()).isZero();
    assertThat(use(a)).isCancelled();
  }

  @Test
  void aTaskThatComesBackFindsItsModel() {
    ModelPool.Member before = staying(MemoryShare.UNLIMITED);
    before.use(a, true).join();
    before.close();
    assertThat(isLoaded(a)).isTrue();

    ModelPool.Member after = staying(MemoryShare.UNLIMITED);
    ModelPool.Use again = after.use(a, true).join();
    letTimePass(STAY);
    assertThat(a.opened).hasSize(1);
    assertThat(isLoaded(a)).as("it is used again").isTrue();

    again.close();
    after.close();
    assertThat(isLoaded(a)).isTrue();
    letTimePass(STAY);
    assertThat(isLoaded(a)).isFalse();
    assertThat(pool.size()).isZero();
  }

  @Test
  void aModelThatStaysGivesItsPlaceToAnotherOne() {
    ModelPool.Member before = staying(MemoryShare.UNLIMITED);
    before.use(a, true).join();
    before.close();

    use(b).join();
    assertThat(isLoaded(a)).isFalse();
    assertThat(pool.mostBytes("cpu")).as("the budget of both tasks").isLessThanOrEqualTo(20);
    letTimePass(STAY);
    assertThat(isLoaded(b)).isTrue();
  }

  @Test
  void aTaskThatComesBackWithOtherSettingsLoadsItsModelAnew() {
    ModelPool.Member before = staying(MemoryShare.UNLIMITED);
    before.use(a, true).join();
    before.close();

    join(MemoryShare.UNLIMITED, BatchSettings.ofRows(2), STAY).use(a, true).join();
    assertThat(a.opened).hasSize(2);
    assertThat(a.opened.get(0).closed).isTrue();
    assertThat(isLoaded(a)).isTrue();
  }

  @Test
  void aModelThatOthersUseDoesNotBeginToStay() {
    ModelPool.Member before = staying(MemoryShare.UNLIMITED);
    before.use(a, true).join();
    use(a).join();
    before.close();
    letTimePass(STAY);
    assertThat(isLoaded(a)).isTrue();
    member.close();
    assertThat(isLoaded(a)).as("the last member's time counts").isFalse();
  }
}
