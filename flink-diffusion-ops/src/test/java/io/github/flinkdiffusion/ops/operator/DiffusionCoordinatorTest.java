/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.operator.CoordinatorRequest.Speaker;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeoutException;
import org.apache.flink.api.common.JobID;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.operators.coordination.CoordinationResponse;
import org.apache.flink.runtime.operators.coordination.OperatorCoordinator;
import org.apache.flink.util.FlinkException;
import org.apache.flink.util.InstantiationUtil;
import org.junit.jupiter.api.Test;

class DiffusionCoordinatorTest {
  private static final OperatorID OPERATOR = new OperatorID();

  private static DiffusionCoordinator coordinator(JobID job) {
    OperatorCoordinator.Context context =
        (OperatorCoordinator.Context)
            Proxy.newProxyInstance(
                DiffusionCoordinatorTest.class.getClassLoader(),
                new Class<?>[] {OperatorCoordinator.Context.class},
                (self, method, arguments) ->
                    switch (method.getName()) {
                      case "getJobID" -> job;
                      case "getOperatorId" -> OPERATOR;
                      default -> throw new UnsupportedOperationException(method.getName());
                    });
    return new DiffusionCoordinator(context, new Suspects.Limits(3, 2));
  }

  private static Speaker attempt(int number) {
    return new Speaker(OPERATOR.toHexString(), 0, "a" + number, "p" + number);
  }

  /** As between processes: the answer is read by Flink's own class loader. */
  private static Verdict ask(DiffusionCoordinator coordinator, CoordinatorRequest request)
      throws Exception {
    CoordinationResponse response = coordinator.handleCoordinationRequest(request).get();
    CoordinationResponse received =
        InstantiationUtil.deserializeObject(
            InstantiationUtil.serializeObject(response),
            CoordinationResponse.class.getClassLoader());
    return DiffusionCoordinator.verdict(received, Verdict.class.getClassLoader());
  }

  private static boolean watched(DiffusionCoordinator coordinator, int attempt) throws Exception {
    return ask(coordinator, new CoordinatorRequest.Begins(attempt(attempt), 8)).watched();
  }

  @Test
  void aProcessThatIsLostIsWatchedAndOneThatIsStoppedIsNot() throws Exception {
    DiffusionCoordinator coordinator = coordinator(new JobID());
    assertThat(watched(coordinator, 1)).isFalse();
    coordinator.executionAttemptFailed(
        0, 0, new FlinkException("x", new FlinkException("The TaskExecutor is shutting down.")));
    assertThat(watched(coordinator, 2)).isFalse();
    coordinator.executionAttemptFailed(
        0, 1, new TimeoutException("Heartbeat of TaskManager with id x timed out."));
    assertThat(watched(coordinator, 3)).isTrue();
    assertThat(
            ask(
                    coordinator,
                    new CoordinatorRequest.MayRun(
                        attempt(3), List.of(), List.of("a", "b", "c", "d", "e")))
                .run())
        .containsExactly("a", "b");
  }

  @Test
  void aCancelledTaskWhoseProcessNeverSaidThatItEndsHasDied() throws Exception {
    DiffusionCoordinator coordinator = coordinator(new JobID());
    watched(coordinator, 1);
    coordinator.executionAttemptFailed(0, 0, null); // another task had noticed it before
    assertThat(watched(coordinator, 2)).isTrue();
  }

  @Test
  void aNewCoordinatorOfTheJobKnowsWhatTheOneBeforeKnewAndAnotherJobDoesNot() throws Exception {
    JobID job = new JobID();
    DiffusionCoordinator first = coordinator(job);
    watched(first, 1);
    assertThat(watched(first, 2)).isTrue();
    CompletableFuture<byte[]> saved = new CompletableFuture<>();
    first.checkpointCoordinator(1, saved);
    first.close();
    DiffusionCoordinator second = coordinator(job);
    second.resetToCheckpoint(1, saved.get());
    assertThat(watched(second, 3)).isTrue();

    DiffusionCoordinator other = coordinator(new JobID());
    other.resetToCheckpoint(1, saved.get());
    assertThat(watched(other, 4)).isFalse();
  }

  @Test
  void savepointsOfJobsWithoutACoordinatorAreAccepted() throws Exception {
    DiffusionCoordinator coordinator = coordinator(new JobID());
    coordinator.resetToCheckpoint(1, null);
    coordinator.resetToCheckpoint(1, new byte[0]);
    assertThat(watched(coordinator, 1)).isFalse();
  }
}
