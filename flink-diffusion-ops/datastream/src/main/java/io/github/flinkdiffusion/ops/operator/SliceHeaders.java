/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PayloadReference;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.connector.payload.PayloadStore;
import io.github.flinkdiffusion.ops.failure.ConcernsOneRequest;
import io.github.flinkdiffusion.ops.image.DicomSlice;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.serving.SeriesSettings;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.streaming.api.functions.async.ResultFuture;
import org.apache.flink.streaming.api.functions.async.RichAsyncFunction;

/**
 * Reads the headers of slices' files, on threads of its own. A file system that does not answer is
 * asked again for a time, and no thread waits meanwhile.
 */
final class SliceHeaders extends RichAsyncFunction<ImageTaskEvent, ReadSlice> {
  private static final long serialVersionUID = 1L;

  /** Of a file, which is read as a whole, since its digest is that of the whole. */
  private static final long MOST_BYTES = 64 << 20;

  private static final Duration FIRST_DELAY = Duration.ofMillis(100);
  private static final Duration LONGEST_DELAY = Duration.ofSeconds(15);

  private final SeriesSettings settings;
  private transient ScheduledExecutorService readers;
  private transient PayloadStore payloads;

  SliceHeaders(SeriesSettings settings) {
    this.settings = settings;
  }

  @Override
  public void open(OpenContext context) {
    AtomicInteger number = new AtomicInteger();
    ThreadFactory threads =
        task -> {
          Thread thread = new Thread(task, "slice-headers-" + number.incrementAndGet());
          thread.setDaemon(true);
          return thread;
        };
    readers = Executors.newScheduledThreadPool(settings.readers(), threads);
    payloads = new PayloadStore(settings.payloads());
  }

  @Override
  public void asyncInvoke(ImageTaskEvent task, ResultFuture<ReadSlice> result) {
    long until = System.nanoTime() + settings.outageRetryTime().toNanos();
    readers.execute(() -> read(task, result, until, FIRST_DELAY));
  }

  private void read(
      ImageTaskEvent task, ResultFuture<ReadSlice> result, long until, Duration delay) {
    ReadSlice read;
    try {
      read = ReadSlice.of(task, header(task));
    } catch (RuntimeException e) {
      if (!(e instanceof ConcernsOneRequest) && !(e instanceof PayloadException)) {
        result.completeExceptionally(e);
        return;
      }
      boolean mayPass =
          e instanceof PayloadException payload
              ? payload.mayPass()
              : ((ConcernsOneRequest) e).mayPass();
      if (mayPass && System.nanoTime() < until) {
        Duration next = delay.multipliedBy(2);
        readers.schedule(
            () ->
                read(task, result, until, next.compareTo(LONGEST_DELAY) < 0 ? next : LONGEST_DELAY),
            delay.toMillis(),
            TimeUnit.MILLISECONDS);
        return;
      }
      FailureReason reason =
          e instanceof PayloadException ? FailureReason.PAYLOAD : FailureReason.INVALID_REQUEST;
      read = ReadSlice.failed(task, reason, e.getMessage());
    } catch (Error e) {
      result.completeExceptionally(e);
      return;
    }
    result.complete(List.of(read));
  }

  private GatheredSlice header(ImageTaskEvent task) {
    Events.checkId(task.getId());
    PayloadReference reference =
        Payloads.reference(task.getImage())
            .orElseThrow(
                () ->
                    new InvalidRequestException(
                        "The request's image is in the event; slices of a series must be"
                            + " references. Store the file, and send its reference."));
    if (task.getMask() != null) {
      throw new InvalidRequestException("The request has a mask; slices of a series have none.");
    }
    if (!task.getImages().isEmpty()) {
      throw new InvalidRequestException(
          "The request has further images; slices of a series have none.");
    }
    if (reference.getLength() > MOST_BYTES) {
      throw new InvalidRequestException(
          "The request's image has %d bytes; slices of a series have at most %d."
              .formatted(reference.getLength(), MOST_BYTES));
    }
    byte[] file = payloads.read(task.getImage());
    try {
      DicomSlice header = DicomSlice.of(file);
      if (header.frames() > 1) {
        throw new ImageException(
            "It has %d frames; files of a series have one. Send it as a request of its own, with page all"
                .formatted(header.frames()));
      }
      return GatheredSlice.of(task.getId(), reference, header);
    } catch (ImageException e) {
      throw new ImageException("The request's image: " + e.getMessage(), e);
    }
  }

  @Override
  public void close() {
    if (readers != null) {
      readers.shutdownNow();
    }
  }
}
