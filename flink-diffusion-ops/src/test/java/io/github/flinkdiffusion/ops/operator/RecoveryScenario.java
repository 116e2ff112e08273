/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.ForwardingPipeline;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A device on which things happen as the tests of recovery want them; static, because the cluster
 * is in this process and the job is serialized.
 */
final class RecoveryScenario {
  private RecoveryScenario() {}

  static final List<FakePipeline> OPENED = Collections.synchronizedList(new ArrayList<>());
  static final Set<String> MID_WAY = ConcurrentHashMap.newKeySet();
  static final AtomicInteger HELD_STEPS = new AtomicInteger();

  /** Requests that stay at step 3, so that the job does not end before they are cancelled. */
  static final Set<String> STUCK = ConcurrentHashMap.newKeySet();

  static volatile CountDownLatch checkpointWithTrajectories;

  /** The device breaks in the first call after a checkpoint that holds trajectories. */
  static volatile boolean failAfterCheckpoint;

  /** Trajectories do not come to their end. */
  static volatile boolean holdTrajectories;

  /** No trajectory moves. */
  static volatile boolean frozen;

  static volatile boolean failed;

  /** Of network calls: one has begun; they may end. */
  static volatile CountDownLatch inCall;

  static volatile CountDownLatch callMayEnd;
  private static long firstWithTrajectories;

  static void reset() {
    OPENED.clear();
    MID_WAY.clear();
    HELD_STEPS.set(0);
    STUCK.clear();
    checkpointWithTrajectories = new CountDownLatch(1);
    failAfterCheckpoint = false;
    holdTrajectories = false;
    frozen = false;
    failed = false;
    inCall = new CountDownLatch(0);
    callMayEnd = new CountDownLatch(0);
    firstWithTrajectories = Long.MAX_VALUE;
  }

  static List<String> calls() {
    return OPENED.stream().flatMap(pipeline -> pipeline.calls.stream()).toList();
  }

  /**
   * A trajectory may have come to its step after the checkpoint that a subtask just hears of was
   * taken; the one after it has it for certain, since held trajectories stay.
   */
  static synchronized void checkpointCompleted(long checkpointId) {
    if (!MID_WAY.isEmpty()) {
      firstWithTrajectories = Math.min(firstWithTrajectories, checkpointId);
      if (checkpointId > firstWithTrajectories) {
        checkpointWithTrajectories.countDown();
      }
    }
  }

  /** Some trajectories stay at step 3 while something is still to happen. */
  static boolean holds(Trajectory trajectory) {
    boolean pending = holdTrajectories || failAfterCheckpoint && !failed;
    return frozen
        || (pending || STUCK.contains(trajectory.request().id())) && trajectory.step() == 3;
  }

  static void beforeStep() {
    inCall.countDown();
    try {
      callMayEnd.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException("Nobody interrupts a device.", e);
    }
    boolean saved = checkpointWithTrajectories.getCount() == 0;
    if (failAfterCheckpoint && !failed && saved) {
      failed = true;
      throw new IllegalStateException("The device broke, as planned.");
    }
  }

  static DiffusionPipeline open() {
    assertThat(OPENED).as("models on the device").allMatch(fake -> fake.closed);
    FakePipeline pipeline = new FakePipeline();
    OPENED.add(pipeline);
    return new WatchedPipeline(pipeline);
  }

  /** The fake, with a watch on what is saved. */
  private static final class WatchedPipeline extends ForwardingPipeline {
    WatchedPipeline(FakePipeline fake) {
      super(fake);
    }

    @Override
    public List<Trajectory> start(List<GenerationRequest> requests) {
      return watched(super.start(requests));
    }

    @Override
    public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
      return watched(super.restore(snapshots));
    }

    @Override
    public void step(List<Trajectory> batch) {
      beforeStep();
      List<Trajectory> moving = batch.stream().filter(t -> !holds(t)).toList();
      if (!moving.isEmpty()) {
        super.step(unwatched(moving));
      }
      HELD_STEPS.addAndGet(batch.size() - moving.size());
    }

    @Override
    public List<GeneratedImage> finish(List<Trajectory> batch) {
      return super.finish(unwatched(batch));
    }

    private static List<Trajectory> watched(List<Trajectory> trajectories) {
      return trajectories.stream().map(t -> (Trajectory) new WatchedTrajectory(t)).toList();
    }

    private static List<Trajectory> unwatched(List<Trajectory> trajectories) {
      return trajectories.stream().map(t -> ((WatchedTrajectory) t).fake).toList();
    }
  }

  private record WatchedTrajectory(Trajectory fake) implements Trajectory {
    @Override
    public GenerationRequest request() {
      return fake.request();
    }

    @Override
    public int step() {
      return fake.step();
    }

    @Override
    public int totalSteps() {
      return fake.totalSteps();
    }

    @Override
    public int rows() {
      return fake.rows();
    }

    @Override
    public Object batchKey() {
      return fake.batchKey();
    }

    @Override
    public TrajectorySnapshot snapshot() {
      if (step() == 3) {
        MID_WAY.add(request().id());
      }
      return fake.snapshot();
    }
  }
}
