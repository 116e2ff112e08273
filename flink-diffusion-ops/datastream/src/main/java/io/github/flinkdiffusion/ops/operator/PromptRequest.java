/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.ops.batching.RequestFailure;
import io.github.flinkdiffusion.ops.batching.RequestListener;
import io.github.flinkdiffusion.ops.batching.Ticket;
import io.github.flinkdiffusion.ops.batching.Work;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import io.github.flinkdiffusion.ops.prompt.PromptLanguage;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A picture from text: one trajectory. */
final class PromptRequest extends Request implements RequestListener {
  private static final Logger LOG = LoggerFactory.getLogger(PromptRequest.class);

  private final PromptEvent prompt;
  private final Optional<TrajectorySnapshot> restored;
  private final AtomicBoolean previewUnderWay = new AtomicBoolean();

  /** Whether it may run. Task thread only. */
  private boolean begun;

  /** Null when it never went to the device, and when it has its outcome. Task thread only. */
  private Ticket ticket;

  /** What took it back, if something did; said before the device is told. */
  private volatile CancelEvent cancellation;

  /**
   * @param restored where it goes on, if it was begun before
   * @param deviceNanos device time that it took before it was restored
   */
  PromptRequest(
      RequestHost host,
      PromptEvent prompt,
      OptionalLong timestamp,
      Optional<TrajectorySnapshot> restored,
      long deviceNanos) {
    super(host, RequestEvent.of(prompt), timestamp, deviceNanos);
    this.prompt = prompt;
    this.restored = restored;
  }

  @Override
  Optional<String> begunOn() {
    return restored.map(trajectory -> trajectory.basis().digest());
  }

  @Override
  void beginOnModel() {
    begun = true;
    if (restored.isPresent()) {
      TrajectorySnapshot trajectory = restored.get();
      List<String> differences = model().info().basis().differencesFrom(trajectory.basis());
      if (differences.isEmpty()) {
        host.meters().restoredTrajectories.inc();
        LOG.debug("Request {} continues after step {}.", prompt.getId(), trajectory.step());
        submit(new Work.Resumed(trajectory));
        return;
      }
      host.meters().restartedTrajectories.inc();
      host.ledger().made(prompt.getId(), trajectory.step());
      LOG.info(
          "Request {} starts again and loses {} steps, because settings that decide its image have"
              + " changed: {}.",
          prompt.getId(),
          trajectory.step(),
          String.join(", ", differences));
    }
    try {
      GenerationRequest request =
          host.settings().limits().prepare(use().batcher(), Events.spec(prompt, host.settings()));
      Events.requireImage(model(), request.arguments());
      hintAtWeights(request);
      submit(new Work.Fresh(request));
    } catch (InvalidRequestException e) {
      fail(FailureReason.INVALID_REQUEST, e.getMessage());
    }
  }

  private void hintAtWeights(GenerationRequest request) {
    String language = request.get(Parameters.PROMPT_LANGUAGE);
    if (language == null
        || PromptLanguage.named(language).equals(Optional.of(PromptLanguage.PLAIN))) {
      host.meters()
          .plain(
              prompt.getId(),
              prompt.getPrompt(),
              model().signature().takes(Parameters.PROMPT_LANGUAGE));
    }
  }

  private void submit(Work work) {
    submission()
        .map(how -> how.withPreviewEverySteps(host.settings().previewEverySteps()))
        .ifPresent(how -> ticket = use().session().submit(work, how, this));
  }

  @Override
  void cancel(CancelEvent why) {
    if (!begun) {
      fail(
          FailureReason.CANCELLED,
          Events.cancelled(
              "Request %s was cancelled before it started.".formatted(prompt.getId()), why));
    } else if (ticket != null) {
      cancellation = why;
      use().session().cancel(ticket);
    }
  }

  @Override
  void release() {
    ticket = null;
    super.release();
  }

  /** Until its picture is encoded and stored, that is the trajectory that it is decoded from. */
  @Override
  InFlight underWay() {
    if (ticket == null && restored.isPresent()) {
      return new InFlight.Running(timestamp, prompt, restored.get(), deviceNanos());
    }
    return ticket != null && ticket.rest() instanceof Work.Resumed resumed
        ? new InFlight.Running(timestamp, prompt, resumed.snapshot(), deviceNanos())
        : new InFlight.Waiting(timestamp, prompt, deviceNanos());
  }

  // ------------------------------------------------------------------ from the device's thread

  @Override
  public void onStarted(Duration queued) {
    host.meters().queued(queued);
  }

  @Override
  public void onDeviceTime(Duration share) {
    tookDevice(share);
  }

  @Override
  public void onRetry(RequestFailure cause) {
    host.meters().retries.inc();
    LOG.info("Request {} starts again: {}", prompt.getId(), cause.message());
  }

  @Override
  public void onStep(int done, int ofTotal) {
    host.meters().steps.inc();
    if (host.ledger().made(prompt.getId(), done)) {
      host.meters().redoneSteps.inc();
    }
    stepMade(done, ofTotal);
  }

  /** One preview at a time; it is of no use any more when the picture is there. */
  @Override
  public void onPreview(int done, int ofTotal, Raster preview) {
    if (!previewUnderWay.compareAndSet(false, true)) {
      return;
    }
    work(
        () -> {
          ByteBuffer png = ByteBuffer.wrap(PngCodec.encode(preview));
          host.mail(
              () -> {
                previewUnderWay.set(false);
                if (!outcome.isDone()) {
                  emitProgress(done, ofTotal, png);
                }
              },
              "preview");
        },
        "shown while it is made");
  }

  @Override
  public void onFinished(GeneratedImage image) {
    work(
        () ->
            end(
                new Outcome.Picture(
                    Events.image(
                        prompt, image, model(), deviceNanos(), host.settings(), host.payloads()))),
        "encoded or stored");
  }

  @Override
  public void onSuspected(int callSize) {
    host.suspected(this, callSize);
  }

  @Override
  public void onFailed(RequestFailure failure) {
    fail(
        Events.reason(failure.kind()),
        failure.kind() == RequestFailure.Kind.CANCELLED
            ? Events.cancelled(failure.message(), cancellation)
            : failure.message());
  }
}
