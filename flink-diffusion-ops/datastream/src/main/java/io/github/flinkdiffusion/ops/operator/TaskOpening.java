/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.ops.serving.DecodingMemory;
import java.util.Optional;

/**
 * Opens the images of one request: they are fetched, memory for them is waited for, by no thread,
 * and then they are decoded. What was opened is closed even if the subtask's task ends meanwhile.
 *
 * <p>Fetching and decoding is done on the subtask's pool; everything else is the task's thread.
 */
final class TaskOpening {
  private final ImageTaskRequest request;
  private final RequestHost host;
  private final Attempts attempts;

  /** As the model sees it; null before the first turn. */
  private ImageTaskEvent run;

  private Optional<FrameWork> frame = Optional.empty();

  /** Set by whoever opens it, so that it is closed even if the task ends before the mail comes. */
  private volatile OpenImageTask opened;

  /** Set as soon as they are there, like {@link #opened}. */
  private volatile TaskSources sources;

  /** Heap for what is open; null until it is asked for. Task thread only. */
  private DecodingMemory.Reservation memory;

  private boolean waitsForMemory;

  /** Its turn to be opened; null before the first. Task thread only. */
  private PartTurns.Permit turn;

  /** True when the task has ended; then whoever opens it closes it, too. */
  private volatile boolean discarded;

  TaskOpening(ImageTaskRequest request) {
    this.request = request;
    this.host = request.host;
    this.attempts = request.attempts(Request.READ);
  }

  /**
   * Has its turn, which it gives back whatever comes of it.
   *
   * @param event as the model is to see it
   * @param itsFrame if it is a frame of a stream
   */
  void begin(ImageTaskEvent event, Optional<FrameWork> itsFrame, PartTurns.Permit itsTurn) {
    run = event;
    frame = itsFrame;
    turn = itsTurn;
    attempt(
        () -> {
          long lookingBack = frame.isEmpty() ? 0 : frame.get().fetch(host.payloads());
          sources =
              TaskSources.fetch(
                      run,
                      host.settings(),
                      request.use().batcher(),
                      host.payloads(),
                      host.scratch(),
                      host.decoding().capacity() - lookingBack)
                  .beside(lookingBack);
          host.mail(this::reserve, "image is fetched");
        });
  }

  private void reserve() {
    if (request.outcome.isDone()) {
      giveUp();
      return;
    }
    waitsForMemory = true;
    memory = host.decoding().reserve(sources.bytes());
    memory.granted().thenRun(() -> host.mail(this::decode, "memory for the image"));
  }

  private void decode() {
    if (!waitsForMemory) {
      return; // it has given up
    }
    waitsForMemory = false;
    if (request.outcome.isDone()) {
      giveUp();
      return;
    }
    attempt(
        () -> {
          Optional<ImageEvent> answer = frame.flatMap(FrameWork::answer);
          if (answer.isPresent()) {
            host.mail(this::giveUp, "frame is answered");
            request.end(new Outcome.Picture(answer.get()));
            return;
          }
          opened =
              OpenImageTask.open(
                  run,
                  host.settings(),
                  request.use().batcher(),
                  sources,
                  frame.flatMap(FrameWork::blend),
                  host.emitsTexts());
          host.mail(() -> request.opened(opened), "image is open");
        });
  }

  private void attempt(Runnable step) {
    request.work(
        () -> {
          try {
            step.run();
          } catch (RuntimeException | Error e) {
            host.mail(this::giveBack, "image cannot be opened");
            throw e;
          }
          if (discarded) {
            closeImages();
          }
        },
        attempts,
        // Others may be opened while it waits.
        () -> host.turns().add(request));
  }

  /** When the request has ended before its images were open. */
  private void giveUp() {
    sources.close();
    giveBack();
  }

  /** The request has ended: if its turn waits for memory, it is over. */
  void giveUpWaiting() {
    if (waitsForMemory) {
      waitsForMemory = false;
      giveUp();
    }
  }

  /** Gives back the memory and the turn. */
  void giveBack() {
    freeMemory();
    turnIsOver();
  }

  /** Gives back the memory, when the images are closed. */
  void freeMemory() {
    if (memory != null) {
      memory.close();
    }
  }

  /** Gives back the turn: the images are open. */
  void turnIsOver() {
    turn.close();
  }

  /** Closes what is open, or will be: the subtask's task has ended. */
  void discard() {
    discarded = true;
    closeImages();
    freeMemory();
  }

  /** Any number of times, and by any thread. */
  private void closeImages() {
    if (opened != null) {
      opened.close();
    } else if (sources != null) {
      sources.close();
    }
  }
}
