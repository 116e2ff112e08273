/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lets requests begin: at once as a rule, and while the job is watched ({@link Suspects}) when the
 * coordinator says so. Task thread only.
 */
final class Probation {
  private static final Logger LOG = LoggerFactory.getLogger(Probation.class);

  private static final Duration AGAIN = Duration.ofMillis(100);
  private static final int LEAST_UNIT = 16;

  private final Line line;
  private final CoordinatorRequest.Speaker self;
  private final int capacity;
  private final int unit;

  private State state = State.UNKNOWN;
  private final Map<Request, String> held = new LinkedHashMap<>();
  private final Map<Request, String> running = new IdentityHashMap<>();
  private List<String> ended = new ArrayList<>();
  private boolean asking;
  private long read;

  private enum State {
    /** The coordinator has not answered yet. */
    UNKNOWN,
    FREE,
    WATCHED
  }

  /** The way to the coordinator, and to the clock. */
  interface Line {
    CompletableFuture<Verdict> send(CoordinatorRequest request);

    /** Runs it on the task's thread, when the answer is there; at once if it is there already. */
    void whenDone(
        CompletableFuture<Verdict> answer, java.util.function.BiConsumer<Verdict, Throwable> then);

    /** Runs it on the task's thread after a time. */
    void later(Duration after, Runnable then);
  }

  Probation(Line line, CoordinatorRequest.Speaker self, int capacity) {
    this.line = line;
    this.self = self;
    this.capacity = capacity;
    this.unit = Math.max(LEAST_UNIT, capacity / 4);
  }

  /** Says that this attempt begins. */
  void begin() {
    line.whenDone(
        line.send(new CoordinatorRequest.Begins(self, capacity + unit)),
        (verdict, failure) -> {
          if (failure != null) {
            LOG.info("The coordinator did not answer; asking again.", failure);
            line.later(AGAIN, this::begin);
          } else if (verdict.watched()) {
            state = State.WATCHED;
            ask();
          } else {
            free();
          }
        });
  }

  /** Begins it now or later. */
  void admit(Request request) {
    if (state == State.FREE) {
      if (++read % unit == 0) {
        line.send(new CoordinatorRequest.HasRead(self, read));
      }
      request.begin();
      return;
    }
    held.put(request, request.event.key());
    if (state == State.WATCHED && running.isEmpty()) {
      ask();
    }
  }

  /** It has its outcome. */
  void ended(Request request) {
    if (state == State.FREE) {
      return;
    }
    String key = held.remove(request);
    String ran = running.remove(request);
    if (key != null || ran != null) {
      ended.add(key != null ? key : ran);
    }
    if (state == State.WATCHED && running.isEmpty()) {
      ask();
    }
  }

  private void ask() {
    if (asking || held.isEmpty() && ended.isEmpty()) {
      return;
    }
    asking = true;
    List<String> told = ended;
    ended = new ArrayList<>();
    line.whenDone(
        line.send(
            new CoordinatorRequest.MayRun(
                self, told, List.copyOf(new java.util.LinkedHashSet<>(held.values())))),
        (verdict, failure) -> {
          asking = false;
          if (failure != null) {
            LOG.info("The coordinator did not answer; asking again.", failure);
            told.addAll(ended);
            ended = told;
            askLater();
          } else if (!verdict.watched()) {
            free();
          } else {
            obey(verdict);
          }
        });
  }

  private void askLater() {
    asking = true;
    line.later(
        AGAIN,
        () -> {
          asking = false;
          ask();
        });
  }

  private void obey(Verdict verdict) {
    Set<String> run = new HashSet<>(verdict.run());
    List<Request> begin = new ArrayList<>();
    List<Request> condemned = new ArrayList<>();
    held.forEach(
        (request, key) -> {
          if (run.contains(key)) {
            begin.add(request);
          } else if (verdict.poison().containsKey(key)) {
            condemned.add(request);
          }
        });
    begin.forEach(request -> running.put(request, held.remove(request)));
    // They end by mail, and that mail asks again.
    condemned.forEach(request -> request.poisoned(verdict.poison().get(held.get(request))));
    begin.stream().filter(request -> !request.outcome.isDone()).forEach(Request::begin);
    if (running.isEmpty() && condemned.isEmpty() && !(held.isEmpty() && ended.isEmpty())) {
      askLater();
    }
  }

  private void free() {
    state = State.FREE;
    List<Request> begin = List.copyOf(held.keySet());
    held.clear();
    running.clear();
    ended.clear();
    read += begin.size();
    begin.stream().filter(request -> !request.outcome.isDone()).forEach(Request::begin);
  }

  /**
   * Says which requests took part in the call that fails this task.
   *
   * @return completed when that is known, or cannot be made known
   */
  CompletableFuture<Verdict> fails(List<Request> suspects, int callSize) {
    return line.send(
        new CoordinatorRequest.Fails(
            self,
            suspects.stream().map(request -> request.event.key()).distinct().toList(),
            callSize));
  }

  /** Says that this attempt ends. */
  void end() {
    line.send(new CoordinatorRequest.Ends(self));
  }

  /** Whether the request has to wait until it may run. */
  boolean holds(Request request) {
    return held.containsKey(request);
  }
}
