/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import static io.github.flinkdiffusion.ops.fakes.FakePipeline.request;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.fakes.FakePipeline;
import io.github.flinkdiffusion.ops.fakes.ManualTicker;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A batcher that goes call by call on the test's thread, with a pipeline and a clock to set. */
abstract class StepBatcherCase {
  final FakePipeline pipeline = new FakePipeline();
  final ManualTicker ticker = new ManualTicker();
  final RecordedSession sessionEvents = new RecordedSession();
  final Map<String, RecordedOutcome> outcomes = new HashMap<>();
  final List<Ticket> tickets = new ArrayList<>();

  StepBatcher batcher;
  BatchSession session;

  void openWith(int rowLimit) {
    openWith(new BatchPolicy(rowLimit, rowLimit, rowLimit, Duration.ofSeconds(30)));
  }

  void openWith(BatchPolicy policy) {
    batcher = new StepBatcher(pipeline, policy, ticker);
    session = batcher.join(sessionEvents);
  }

  Ticket submit(GenerationRequest request) {
    return submit(request, Submission.DEFAULT);
  }

  Ticket submit(GenerationRequest request, Submission how) {
    RecordedOutcome outcome = new RecordedOutcome();
    outcomes.put(request.id(), outcome);
    Ticket ticket = session.submit(new Work.Fresh(request), how, outcome);
    tickets.add(ticket);
    return ticket;
  }

  static Submission priority(int priority) {
    return Submission.DEFAULT.withPriority(priority);
  }

  void runUntilIdle() {
    int calls = 0;
    while (batcher.runOnce()) {
      assertThat(calls++).as("calls").isLessThan(10_000);
    }
  }

  List<String> stepCalls() {
    return pipeline.calls.stream().filter(call -> call.startsWith("step")).toList();
  }

  static float[] solo(GenerationRequest request) {
    return FakePipeline.pictureOf(new GenerationSpec(request.id(), request.arguments())).data();
  }

  /** What a checkpoint would hold now. */
  List<Work> leftToDo() {
    return tickets.stream()
        .filter(ticket -> outcomes.get(ticket.request().id()).image == null)
        .map(Ticket::rest)
        .toList();
  }

  void runOneStep() {
    int before = stepCalls().size();
    while (stepCalls().size() == before && batcher.runOnce()) {}
    while (batcher.runOnce() && stepCalls().size() == before) {}
  }

  static final class RecordedSession implements SessionListener {
    final List<CallReport> calls = new ArrayList<>();
    BatchingException deviceFailure;

    @Override
    public void onCall(CallReport report) {
      calls.add(report);
    }

    @Override
    public void onDeviceFailed(BatchingException cause) {
      assertThat(deviceFailure).isNull();
      deviceFailure = cause;
    }
  }
}
