/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.net.httpserver.Headers;
import java.io.IOException;
import java.io.OutputStream;
import java.util.List;
import java.util.concurrent.Semaphore;

/**
 * Changes as server-sent events, in their order and without a gap. A browser that comes back says
 * the last number it has; one whose number is too old, or of another run, loads the whole wall
 * again.
 */
final class EventStream {
  private static final int MOST_READERS = 24;
  private static final long HEARTBEAT_MILLIS = 10_000;

  private final Changes changes;
  private final Semaphore places = new Semaphore(MOST_READERS);
  private volatile boolean closed;

  EventStream(Changes changes) {
    this.changes = changes;
  }

  /** Sends changes until the browser or the server goes away. */
  void serve(Call call, String run) throws Refusal, IOException {
    long after = after(call, run);
    if (!places.tryAcquire()) {
      throw new Refusal(503, "More than %d pages are open.".formatted(MOST_READERS));
    }
    try {
      Headers headers = call.exchange().getResponseHeaders();
      headers.set("Content-Type", "text/event-stream; charset=utf-8");
      call.exchange().sendResponseHeaders(200, 0);
      try (OutputStream out = call.exchange().getResponseBody()) {
        write(out, "retry: 1000\n\n");
        long number = after;
        while (!closed) {
          if (number < 0 || !changes.reachesBackTo(number)) {
            write(out, "event: reset\ndata: {}\n\n");
            return;
          }
          List<Changes.Change> next = changes.after(number, HEARTBEAT_MILLIS);
          StringBuilder text = new StringBuilder();
          for (Changes.Change change : next) {
            if (change.number() != number + 1) {
              break; // it fell behind meanwhile
            }
            number++;
            text.append("id: ").append(run).append('.').append(number);
            text.append("\nevent: ").append(change.type());
            text.append("\ndata: ").append(change.json()).append("\n\n");
          }
          write(out, next.isEmpty() ? ": still here\n\n" : text.toString());
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      places.release();
    }
  }

  /** The number after which changes are wanted; -1 when that is of another run of the server. */
  private static long after(Call call, String run) throws Refusal {
    String last = call.exchange().getRequestHeaders().getFirst("Last-Event-ID");
    String from = last == null ? call.query("after", "") : last;
    if (!from.matches("[A-Za-z0-9]{1,40}\\.\\d{1,18}")) {
      throw Refusal.badRequest("'%s' is no number of an event.", from);
    }
    int dot = from.indexOf('.');
    return from.substring(0, dot).equals(run) ? Long.parseLong(from.substring(dot + 1)) : -1;
  }

  private static void write(OutputStream out, String text) throws IOException {
    out.write(text.getBytes(UTF_8));
    out.flush();
  }

  void close() {
    closed = true;
    changes.add("bye", "{}");
  }
}
