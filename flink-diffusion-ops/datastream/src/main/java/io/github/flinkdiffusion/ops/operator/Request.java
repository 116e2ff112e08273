/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.ops.batching.ModelPool;
import io.github.flinkdiffusion.ops.batching.Submission;
import io.github.flinkdiffusion.ops.batching.Tenant;
import io.github.flinkdiffusion.ops.failure.ConcernsOneRequest;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.OutageAction;
import io.github.flinkdiffusion.ops.serving.TaskModels;
import io.github.flinkdiffusion.ops.serving.UnusableModelException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.traces.SpanBuilder;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One request from its arrival until its result is put out. */
abstract class Request {
  /** A deadline that is further away than this is none; also keeps nanoseconds within a long. */
  private static final long MOST_MILLIS_LEFT = Duration.ofDays(365).toMillis();

  private static final Duration CLOCK_MILLIS = Duration.ofMillis(10);

  private static final Logger LOG = LoggerFactory.getLogger(Request.class);

  /** What is done with files that a request names. */
  static final String READ = "read";

  final RequestHost host;

  /** Null when it was restored as finished. */
  final RequestEvent event;

  final OptionalLong timestamp;

  /** Completed by whichever thread ends the request; its mail follows. */
  final CompletableFuture<Outcome> outcome = new CompletableFuture<>();

  /** Null before it is asked for, and when it is there. Task thread only. */
  private CompletableFuture<ModelPool.Use> wanted;

  private volatile ModelPool.Use use;
  private boolean saved;
  private final long admittedMillis;
  private final AtomicBoolean progressMailed = new AtomicBoolean();
  private volatile int step;
  private volatile int totalSteps;

  /** Device time that it took, of all attempts; it decides nothing. */
  private final AtomicLong deviceNanos;

  private final Tenant tenant;

  /**
   * @param deviceNanos device time that it took before it was restored
   */
  Request(RequestHost host, RequestEvent event, OptionalLong timestamp, long deviceNanos) {
    this.host = host;
    this.event = event;
    this.timestamp = timestamp;
    this.admittedMillis = host.now();
    this.deviceNanos = new AtomicLong(deviceNanos);
    this.tenant = host.settings().tenants().of(event == null ? Map.of() : event.attributes());
  }

  /** Whose it is; of one that was restored as finished, not known. */
  final Tenant tenant() {
    return tenant;
  }

  /** Notes its part of a device call; any thread. */
  final void tookDevice(Duration share) {
    deviceNanos.addAndGet(share.toNanos());
    host.meters().tookDevice(tenant.name(), share);
  }

  /** Device time that it took so far; any thread. */
  final long deviceNanos() {
    return deviceNanos.get();
  }

  /** Begins, or goes on, as soon as its model is loaded; task thread, once. */
  void begin() {
    CompletableFuture<ModelPool.Use> model;
    try {
      model = host.models().use(event.model(), begunOn());
    } catch (InvalidRequestException e) {
      fail(FailureReason.INVALID_REQUEST, e.getMessage());
      return;
    }
    if (model.isDone()) {
      begin(model);
      return;
    }
    wanted = model;
    submission().flatMap(Submission::limit).ifPresent(left -> host.later(left, this::expire));
    model.whenComplete(
        (any, failure) -> host.mail(() -> begin(model), "a request's model is loaded"));
  }

  private void begin(CompletableFuture<ModelPool.Use> model) {
    wanted = null;
    try {
      use = model.join();
    } catch (CompletionException | CancellationException e) {
      if (!outcome.isDone()) {
        modelCannotBeLoaded(e);
      }
      return;
    }
    if (outcome.isDone()) {
      use.close();
      return;
    }
    host.heapProblem(use.batcher())
        .ifPresentOrElse(
            problem -> fail(FailureReason.INVALID_REQUEST, problem), this::beginOnModel);
  }

  private void modelCannotBeLoaded(Throwable failure) {
    Optional<UnusableModelException> why = TaskModels.unusable(failure);
    if (why.isPresent()) {
      fail(
          FailureReason.INVALID_REQUEST,
          "Request %s cannot run on model '%s': %s"
              .formatted(event.id(), event.model(), why.get().getMessage()));
    } else {
      Throwable cause = failure.getCause() == null ? failure : failure.getCause();
      host.failTask(
          "Model '%s' could not be loaded: %s".formatted(event.model(), cause.getMessage()), cause);
    }
  }

  /** Its time is over while it waits for its model. */
  private void expire() {
    if (wanted != null && !outcome.isDone() && submission().isPresent()) {
      host.later(CLOCK_MILLIS, this::expire); // a timer may come a little early
    }
  }

  /** Digest of the model that it was begun on, if it was begun before. */
  Optional<String> begunOn() {
    return Optional.empty();
  }

  /** Begins, or goes on: its model is there; task thread, once. */
  abstract void beginOnModel();

  /** What it runs on; from {@link #beginOnModel} on. */
  final ModelPool.Use use() {
    return use;
  }

  /** What it runs on, which may be asked after the end, too. */
  final Model model() {
    return use.batcher().model();
  }

  /** Takes it back, unless it has its outcome; task thread. */
  abstract void cancel(CancelEvent why);

  /**
   * What a checkpoint holds of it: its outcome, or what is known to be done of it at this moment.
   * Waits for nothing, neither the device nor a store; task thread.
   */
  final InFlight asFarAsItCame() {
    // Of one that ends between this look and the next, what was left before is as good.
    Outcome how = outcome.getNow(null);
    if (how == null) {
      return underWay();
    }
    saved = true;
    return new InFlight.Finished(timestamp, how);
  }

  /** True when a checkpoint, which may not be written yet, holds its outcome; task thread. */
  final boolean isSaved() {
    return saved;
  }

  /** What a checkpoint holds of it while it has no outcome; task thread. */
  abstract InFlight underWay();

  /** Frees what it holds, after its outcome; task thread. */
  void release() {
    if (wanted != null) {
      wanted.cancel(false);
    }
    if (use != null) {
      use.close();
    }
  }

  /** Closes what it holds, when the task ends; a thread of the pool may still work for it. */
  void discard() {}

  final SpanBuilder span(Outcome how) {
    return RequestSpan.of(how, admittedMillis, host.now());
  }

  final <T> StreamRecord<T> record(T value) {
    return timestamp.isPresent()
        ? new StreamRecord<>(value, timestamp.getAsLong())
        : new StreamRecord<>(value);
  }

  /** Only the first end counts; any thread. */
  final void end(Outcome how) {
    if (outcome.complete(how)) {
      host.ended(this);
    }
  }

  final void fail(FailureReason reason, String message) {
    end(new Outcome.Failure(Events.failure(event, reason, message)));
  }

  /** Ends it without running it, since it is known what that does. */
  final void poisoned(String why) {
    fail(FailureReason.POISON, "Request %s is not tried again: %s.".formatted(event.id(), why));
  }

  /**
   * How it is handed to the device now.
   *
   * @return empty when it is too late, and the request has ended as a failure
   */
  final Optional<Submission> submission() {
    Submission how =
        Submission.DEFAULT
            .withTenant(tenant)
            .withPriority(event.priority())
            .withRetries(host.settings().requestRetries());
    long now = host.now();
    Optional<Duration> timeout = host.settings().timeout();
    if (timeout.isPresent()) {
      Duration left = timeout.get().minusMillis(now - admittedMillis);
      if (left.isNegative() || left.isZero()) {
        fail(
            FailureReason.TIMEOUT,
            "Request %s was not finished within %s (%s)."
                .formatted(event.id(), timeout.get(), DiffusionOptions.REQUEST_TIMEOUT.key()));
        return Optional.empty();
      }
      how = how.withTimeout(left);
    }
    Long deadline = event.deadline();
    if (deadline != null) {
      if (deadline <= now) {
        fail(
            FailureReason.TIMEOUT,
            "Request %s arrived after its deadline %s; the time is %s."
                .formatted(event.id(), Instant.ofEpochMilli(deadline), Instant.ofEpochMilli(now)));
        return Optional.empty();
      }
      if (deadline - now <= MOST_MILLIS_LEFT) {
        how = how.withDeadline(Duration.ofMillis(deadline - now));
      }
    }
    return Optional.of(how);
  }

  /**
   * Does CPU work for this request on the subtask's pool, and again when that may help; see {@link
   * Attempts}. What is wrong with the request's own data ends the request.
   *
   * @param what is being done, for messages: "read", "encoded or stored"
   */
  final void work(Runnable task, String what) {
    Attempts attempts = attempts(what);
    again(task, attempts);
  }

  final Attempts attempts(String what) {
    return new Attempts(what, host.settings());
  }

  /** What is done when work is to be tried once more. */
  @FunctionalInterface
  interface Retry {
    /** Tries once more; task thread. */
    void again();

    /** Hears that the files do not answer, and that {@link #again} follows later; any thread. */
    default void waitsForFiles() {}
  }

  private void again(Runnable task, Attempts attempts) {
    if (!outcome.isDone()) {
      work(task, attempts, () -> again(task, attempts));
    }
  }

  final void work(Runnable task, Attempts attempts, Retry retry) {
    host.work(
        () -> {
          try {
            task.run();
          } catch (PayloadException e) {
            refused(e, e.mayPass(), FailureReason.PAYLOAD, attempts, retry);
          } catch (LinkageError e) {
            // A class of ours is not there or broken: no request can be done in this process.
            failTask(attempts.what(), e);
          } catch (RuntimeException | Error e) {
            if (e instanceof ConcernsOneRequest one) {
              refused(e, one.mayPass(), FailureReason.INVALID_REQUEST, attempts, retry);
            } else {
              error(e, attempts, retry);
            }
          }
        });
  }

  private void refused(
      Throwable cause, boolean mayPass, FailureReason reason, Attempts attempts, Retry retry) {
    if (mayPass) {
      outage(cause, attempts, retry);
    } else {
      fail(reason, cause.getMessage());
    }
  }

  private void error(Throwable cause, Attempts attempts, Retry retry) {
    if (attempts.failed()) {
      LOG.warn("Request {} is tried again.", event.id(), cause);
      host.later(attempts.delay(), retry::again);
    } else {
      fail(
          FailureReason.POISON,
          "Request %s could not be %s in %d attempts (%s): %s"
              .formatted(
                  event.id(),
                  attempts.what(),
                  host.settings().requestAttempts(),
                  DiffusionOptions.REQUEST_ATTEMPTS.key(),
                  cause));
    }
  }

  private void outage(Throwable cause, Attempts attempts, Retry retry) {
    if (attempts.waitsOn(host.now())) {
      LOG.info("Request {} waits for files: {}", event.id(), cause.getMessage());
      retry.waitsForFiles();
      host.later(attempts.delay(), retry::again);
    } else if (host.settings().outageAction() == OutageAction.FAIL_REQUEST) {
      fail(FailureReason.PAYLOAD, cause.getMessage());
    } else {
      if (attempts.what().equals(READ)) {
        // The file may be one that nobody can read: its request must not stop the job for ever.
        host.suspected(this, 1);
      }
      failTask(attempts.what(), cause);
    }
  }

  private void failTask(String what, Throwable cause) {
    host.failTask(
        "The image of request %s could not be %s: %s".formatted(event.id(), what, cause), cause);
  }

  /** Notes a step that was made on the device's thread, and tells of it. */
  final void stepMade(int done, int ofTotal) {
    int every = host.settings().progressEverySteps();
    if (every > 0 && (done % every == 0 || done == ofTotal)) {
      step = done;
      totalSteps = ofTotal;
      // One mail at a time: a slow task must not be buried under progress.
      if (progressMailed.compareAndSet(false, true)) {
        host.mail(this::emitProgress, "progress");
      }
    }
  }

  private void emitProgress() {
    progressMailed.set(false);
    emitProgress(step, totalSteps, null);
  }

  final void emitProgress(int done, int ofTotal, ByteBuffer preview) {
    host.emit(
        record(
            ProgressEvent.newBuilder()
                .setId(event.id())
                .setStep(done)
                .setTotalSteps(ofTotal)
                .setPreview(preview)
                .build()));
  }
}
