/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A real (tiny, random) Stable Diffusion model: who shares a request's network calls makes no
 * difference to its picture beyond rounding, because kernels may round differently for another
 * batch size.
 */
class BatchInvarianceParityTest {
  private static final Path FOLDER = Path.of("src/test/resources/fixtures/models/tiny-sd1");

  /** In a picture's range of 0..1. */
  private static final Offset<Float> TOLERANCE = Offset.offset(1e-4f);

  private static DiffusionPipeline pipeline;
  private static List<GenerationRequest> requests;
  private static final Map<String, float[]> SOLO = new HashMap<>();

  /** State of the noise generator of a request made alone, before each step. */
  private static final Map<String, List<byte[]>> SOLO_NOISE = new HashMap<>();

  @BeforeAll
  static void openAndMakeEachAlone() {
    pipeline = Pipelines.open(FOLDER, PipelineSettings.on(DeviceSpec.CPU));
    requests =
        List.of(
            request("a", "PNDMScheduler", 4, 7.5),
            request("b", "EulerDiscreteScheduler", 9, 1.0),
            request("c", "DDIMScheduler", 25, 3.0),
            request("d", "EulerAncestralDiscreteScheduler", 6, 7.5),
            request("e", "DPMSolverMultistepScheduler", 12, 1.0),
            request("f", "DDPMScheduler", 50, 2.0),
            request("g", "LCMScheduler", 4, 1.0),
            request("h", "DDIMScheduler", 7, 7.5));
    for (GenerationRequest request : requests) {
      List<Trajectory> alone = pipeline.start(List.of(request));
      List<byte[]> noise = new ArrayList<>();
      while (!alone.get(0).done()) {
        noise.add(alone.get(0).snapshot().generator());
        pipeline.step(alone);
      }
      noise.add(alone.get(0).snapshot().generator());
      SOLO_NOISE.put(request.id(), noise);
      SOLO.put(request.id(), pipeline.finish(alone).get(0).image().data());
    }
  }

  @AfterAll
  static void close() {
    pipeline.close();
  }

  private static GenerationRequest request(
      String id, String scheduler, int steps, double guidance) {
    return pipeline
        .model()
        .prepare(
            GenerationSpec.of(id)
                .with(Parameters.PROMPT, "a photo of " + id)
                .with(Parameters.NEGATIVE_PROMPT, "blurry")
                .with(Parameters.SCHEDULER, scheduler)
                .with(Parameters.STEPS, (long) steps)
                .with(Parameters.GUIDANCE_SCALE, guidance));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8})
  void aPictureIsTheSameInAnyCompany(int size) {
    StepBatcher batcher = new StepBatcher(pipeline, BatchPolicy.ofRows(16), Ticker.SYSTEM);
    BatchSession session = batcher.join(cause -> {});
    Map<String, RecordedOutcome> outcomes = new HashMap<>();
    for (GenerationRequest request : requests.subList(0, size)) {
      RecordedOutcome outcome = new RecordedOutcome();
      outcomes.put(request.id(), outcome);
      session.submit(new Work.Fresh(request), Submission.DEFAULT, outcome);
      for (int call = 0; call < size % 3; call++) {
        batcher.runOnce(); // each joins the others at another of their steps
      }
    }
    while (batcher.runOnce()) {}

    outcomes.forEach(
        (id, outcome) ->
            assertThat(outcome.image.image().data())
                .as("%s among %d", id, size)
                .containsExactly(SOLO.get(id), TOLERANCE));
  }

  /**
   * Requests of all kinds, some of them several times, join at any boundary, under any limit of
   * rows; whenever it is looked at, each has drawn the noise that it draws alone.
   */
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6})
  void joiningAndLeavingAtAnyBoundaryMakesNoDifference(int seed) {
    Random random = new Random(seed);
    StepBatcher batcher =
        new StepBatcher(pipeline, BatchPolicy.ofRows(1 + random.nextInt(16)), Ticker.SYSTEM);
    BatchSession session = batcher.join(cause -> {});
    List<GenerationRequest> coming = new ArrayList<>(requests);
    coming.addAll(requests.subList(0, random.nextInt(requests.size())));
    Collections.shuffle(coming, random);
    List<RecordedOutcome> outcomes = new ArrayList<>();
    List<Ticket> tickets = new ArrayList<>();
    for (GenerationRequest request : coming) {
      RecordedOutcome outcome = new RecordedOutcome();
      outcomes.add(outcome);
      tickets.add(
          session.submit(
              new Work.Fresh(request),
              Submission.DEFAULT.withPriority(random.nextInt(3)),
              outcome));
      for (int call = random.nextInt(9); call > 0; call--) {
        batcher.runOnce();
      }
      tickets.forEach(ticket -> assertNoiseIsAsAlone(ticket.rest()));
    }
    while (batcher.runOnce()) {}

    for (int i = 0; i < coming.size(); i++) {
      assertThat(outcomes.get(i).image.image().data())
          .as("%s, seed %d", coming.get(i).id(), seed)
          .containsExactly(SOLO.get(coming.get(i).id()), TOLERANCE);
    }
  }

  private static void assertNoiseIsAsAlone(Work work) {
    if (work instanceof Work.Resumed resumed) {
      TrajectorySnapshot snapshot = resumed.snapshot();
      assertThat(snapshot.generator())
          .as("%s at step %d", snapshot.request().id(), snapshot.step())
          .isEqualTo(SOLO_NOISE.get(snapshot.request().id()).get(snapshot.step()));
    }
  }

  @Test
  void noiseIsBitEqualInAnyCompany() {
    List<TrajectorySnapshot> together = snapshots(pipeline.start(requests));
    List<TrajectorySnapshot> alone = new ArrayList<>();
    for (GenerationRequest request : requests) {
      alone.addAll(snapshots(pipeline.start(List.of(request))));
    }
    assertThat(together).isEqualTo(alone);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 5, 9, 14})
  void savedAnywhereItGoesOnToTheSamePicture(int callsBefore) {
    StepBatcher before = new StepBatcher(pipeline, BatchPolicy.ofRows(16), Ticker.SYSTEM);
    BatchSession session = before.join(cause -> {});
    Map<String, RecordedOutcome> outcomes = new HashMap<>();
    List<Ticket> tickets = new ArrayList<>();
    for (GenerationRequest request : requests) {
      RecordedOutcome outcome = new RecordedOutcome();
      outcomes.put(request.id(), outcome);
      tickets.add(session.submit(new Work.Fresh(request), Submission.DEFAULT, outcome));
    }
    for (int call = 0; call < callsBefore; call++) {
      before.runOnce();
    }
    StepBatcher after = new StepBatcher(pipeline, BatchPolicy.ofRows(6), Ticker.SYSTEM);
    BatchSession resumed = after.join(cause -> {});
    for (Ticket ticket : tickets) {
      if (outcomes.get(ticket.request().id()).image == null) {
        RecordedOutcome outcome = new RecordedOutcome();
        outcomes.put(ticket.request().id(), outcome);
        resumed.submit(ticket.rest(), Submission.DEFAULT, outcome);
      }
    }
    while (after.runOnce()) {}

    outcomes.forEach(
        (id, outcome) ->
            assertThat(outcome.image.image().data())
                .as("%s saved after %d calls", id, callsBefore)
                .containsExactly(SOLO.get(id), TOLERANCE));
  }

  private static List<TrajectorySnapshot> snapshots(List<Trajectory> trajectories) {
    return trajectories.stream().map(Trajectory::snapshot).toList();
  }
}
