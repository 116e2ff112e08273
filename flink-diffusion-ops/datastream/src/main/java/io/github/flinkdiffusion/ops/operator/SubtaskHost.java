/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.serving.DecodingMemory;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.StepLedger;
import io.github.flinkdiffusion.ops.serving.TaskModels;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.WeakHashMap;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.function.ThrowingRunnable;

/** A subtask of a {@link DiffusionOperator}, as its requests see it. */
final class SubtaskHost implements RequestHost {

  /** Where requests go. */
  interface Way {
    /** Whether results are texts; else they are images. */
    boolean emitsTexts();

    /** The request has its outcome; task thread. */
    void ended(Request request) throws Exception;

    /** Puts progress out; task thread. */
    void emit(StreamRecord<ProgressEvent> progress);
  }

  private final DiffusionSettings settings;
  private final SubtaskLink link;
  private final TaskModels models;
  private final DiffusionMetrics meters;
  private final RequestResources resources;
  private final PartTurns turns;
  private final FailedCall failedCall;
  private final Way way;

  /** Of models that were loaded; each is looked at once. */
  private final Map<StepBatcher, Optional<String>> heapProblems = new WeakHashMap<>();

  SubtaskHost(
      DiffusionSettings settings,
      SubtaskLink link,
      TaskModels models,
      DiffusionMetrics meters,
      RequestResources resources,
      FailedCall failedCall,
      Way way) {
    this.settings = settings;
    this.link = link;
    this.models = models;
    this.meters = meters;
    this.resources = resources;
    this.turns = new PartTurns(settings.image().partsInFlight(), settings.image().memoryBytes());
    this.failedCall = failedCall;
    this.way = way;
  }

  @Override
  public boolean emitsTexts() {
    return way.emitsTexts();
  }

  @Override
  public TaskModels models() {
    return models;
  }

  @Override
  public Optional<String> heapProblem(StepBatcher model) {
    return heapProblems.computeIfAbsent(
        model,
        any ->
            HeapNeed.problem(
                model,
                settings.capacity(),
                settings.batch().example().orElseThrow(),
                Runtime.getRuntime().maxMemory()));
  }

  @Override
  public DiffusionSettings settings() {
    return settings;
  }

  @Override
  public DiffusionMetrics meters() {
    return meters;
  }

  @Override
  public StepLedger.Page ledger() {
    return resources.ledger();
  }

  @Override
  public PayloadStore payloads() {
    return resources.payloads();
  }

  @Override
  public DecodingMemory decoding() {
    return resources.decoding();
  }

  @Override
  public Path scratch() {
    return resources.scratch();
  }

  @Override
  public long now() {
    return link.now();
  }

  @Override
  public void work(Runnable task) {
    resources.work(task);
  }

  @Override
  public void mail(ThrowingRunnable<? extends Exception> action, String what) {
    link.mail(action, what);
  }

  @Override
  public void failTask(String message, Throwable cause) {
    link.failTask(message, cause);
  }

  @Override
  public void later(Duration after, Runnable then) {
    link.mail(() -> link.later(after, then), "try again later");
  }

  @Override
  public void suspected(Request request, int callSize) {
    failedCall.tookPart(request, callSize);
  }

  @Override
  public void ended(Request request) {
    link.mail(() -> way.ended(request), "request is done");
  }

  @Override
  public void emit(StreamRecord<ProgressEvent> progress) {
    way.emit(progress);
  }

  @Override
  public PartTurns turns() {
    return turns;
  }
}
