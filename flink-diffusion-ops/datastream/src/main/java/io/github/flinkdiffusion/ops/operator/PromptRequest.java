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
import io.github.flinkdiffusion.ops.credentials.Origin;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.GeneratedImage;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import io.github.flinkdiffusion.ops.prompt.PromptLanguage;
import io.github.flinkdiffusion.ops.serving.DecodingMemory;
import io.github.flinkdiffusion.ops.serving.ImageSettings;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A picture from text, and perhaps from images that the text goes with: one trajectory. Images are
 * read on the subtask's pool, and hold memory until the request ends.
 */
final class PromptRequest extends Request implements RequestListener {
  private static final Logger LOG = LoggerFactory.getLogger(PromptRequest.class);

  private final PromptEvent prompt;
  private final Optional<TrajectorySnapshot> restored;
  private final AtomicBoolean previewUnderWay = new AtomicBoolean();

  /** Whether it may run. Task thread only. */
  private boolean begun;

  /** Whether its images are being read. Task thread only. */
  private boolean reading;

  private final Attempts attempts;

  /** Set by whoever fetches them, so that they are closed even if the task ends meanwhile. */
  private volatile NamedImages images = NamedImages.NONE;

  /** Heap for its images; null until it is asked for. Task thread only. */
  private DecodingMemory.Reservation memory;

  /** True when the task has ended; then whoever fetches images closes them, too. */
  private volatile boolean discarded;

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
    this.attempts = attempts(READ);
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
      List<String> differences = model().differencesFrom(trajectory);
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
    if (prompt.getImages().isEmpty()) {
      try {
        submit(prepared(Map.of()));
      } catch (InvalidRequestException e) {
        fail(FailureReason.INVALID_REQUEST, e.getMessage());
      }
      return;
    }
    reading = true;
    fetch();
  }

  /** Task thread or the subtask's pool. */
  private GenerationRequest prepared(Map<Parameter<Raster>, Raster> read) {
    GenerationSpec spec = NamedImages.with(Events.spec(prompt, host.settings()), read);
    GenerationRequest request = host.settings().limits().prepare(use().batcher(), spec);
    Events.requireImage(model(), request.arguments());
    return request;
  }

  private void submit(GenerationRequest request) {
    hintAtWeights(request);
    submit(new Work.Fresh(request));
  }

  // ------------------------------------------------------------------ images

  /** Memory for the images is waited for, by no thread, before they are decoded. */
  private void fetch() {
    work(
        () -> {
          ImageSettings how = host.settings().image();
          Events.spec(prompt, host.settings()); // refuses it before files are fetched
          NamedImages fetched =
              NamedImages.fetch(prompt.getImages(), how, model(), host.payloads(), host.scratch());
          images = fetched;
          if (discarded) {
            fetched.close();
            return;
          }
          long bytes = fetched.bytes();
          TaskSources.requireFits(
              bytes, fetched.extents(), how, host.decoding().capacity(), "fewer of them");
          host.mail(() -> reserve(bytes), "images are fetched");
        },
        attempts,
        this::fetch);
  }

  private void reserve(long bytes) {
    if (outcome.isDone()) {
      images.close();
      return;
    }
    memory = host.decoding().reserve(bytes);
    memory.granted().thenRun(() -> host.mail(this::decode, "memory for images"));
  }

  private void decode() {
    if (outcome.isDone()) {
      return; // its memory is given back
    }
    work(
        () -> {
          GenerationRequest request = prepared(images.read());
          host.mail(() -> decoded(request), "images are decoded");
        },
        attempts,
        this::decode);
  }

  private void decoded(GenerationRequest request) {
    reading = false;
    if (!outcome.isDone()) {
      submit(request);
    }
  }

  /** Any number of times. */
  private void closeImages() {
    images.close();
    if (memory != null) {
      memory.close();
    }
  }

  /** For the result's credentials; any thread. */
  private List<Origin.Input> inputs() {
    return images == NamedImages.NONE
        ? NamedImages.unread(prompt.getImages())
        : images.credentials();
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
    if (!begun || reading) {
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
    closeImages();
    super.release();
  }

  @Override
  void discard() {
    discarded = true;
    closeImages();
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
                        prompt,
                        image,
                        model(),
                        deviceNanos(),
                        host.settings(),
                        host.payloads(),
                        this::inputs))),
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
