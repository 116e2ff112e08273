/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.operator.CoordinatorRequest.Speaker;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

/**
 * A job in miniature without Flink: subtasks that read from a replayable source, hold, ask and run;
 * processes that die when a killer has run; checkpoints at any moment.
 */
class SuspectsTest {
  private static final Suspects.Limits LIMITS = new Suspects.Limits(3, 2);

  @Property(tries = 1500)
  void whoeverKillsIsFoundAndNobodyElse(
      @ForAll @IntRange(min = 1, max = 60) int requests,
      @ForAll @IntRange(min = 0, max = 4) int killers,
      @ForAll @IntRange(min = 1, max = 3) int subtasks,
      @ForAll @IntRange(min = 1, max = 2) int processes,
      @ForAll @IntRange(min = 1, max = 12) int capacity,
      @ForAll boolean death,
      @ForAll long seed) {
    Job job = new Job(requests, killers, subtasks, processes, capacity, death, seed);
    job.run();

    assertThat(job.poisoned).as("poisoned").isEqualTo(job.killers);
    assertThat(job.finished).as("finished").isEqualTo(job.innocent());
  }

  @Property(tries = 1500)
  void oneKillerIsFoundWithinTheBound(
      @ForAll @IntRange(min = 1, max = 60) int requests,
      @ForAll @IntRange(min = 1, max = 32) int capacity,
      @ForAll boolean death,
      @ForAll long seed) {
    Job job = new Job(requests, 1, 1, 1, capacity, death, seed);
    job.run();

    int n = Math.min(requests, capacity);
    int halvings = Math.max(1, 32 - Integer.numberOfLeadingZeros(n - 1));
    assertThat(job.restarts)
        .as("restarts with %d in flight", n)
        .isBetween(2, (death ? LIMITS.deaths() : LIMITS.failures()) + halvings);
  }

  /** As Flink restarts a job whose subtasks exchange nothing. */
  @Property(tries = 1500)
  void oneKillerIsFoundWhereSubtasksFailOverAlone(
      @ForAll @IntRange(min = 1, max = 60) int requests,
      @ForAll @IntRange(min = 0, max = 2) int killers,
      @ForAll @IntRange(min = 1, max = 4) int subtasks,
      @ForAll @IntRange(min = 1, max = 3) int processes,
      @ForAll @IntRange(min = 1, max = 12) int capacity,
      @ForAll long seed) {
    Job job = new Job(requests, killers, subtasks, processes, capacity, true, seed);
    job.failsOverAlone = true;
    job.run();

    assertThat(job.poisoned).as("poisoned").isEqualTo(job.killers);
    assertThat(job.finished).as("finished").isEqualTo(job.innocent());
    if (killers == 1) {
      int n = Math.min(requests, subtasks * capacity);
      int halvings = Math.max(1, 32 - Integer.numberOfLeadingZeros(n - 1));
      // Subtasks that still run freely are not suspected before their process has died, too.
      assertThat(job.restarts)
          .as("restarts with %d in flight", n)
          .isLessThanOrEqualTo(LIMITS.deaths() + halvings + Math.min(processes, subtasks) - 1);
    }
  }

  @Example
  void whatOneSubtaskEndsIsNotTakenForWhatAnotherReadsAgain() {
    // The other subtask ends more than was in flight before the guilty request has come again.
    Job job = new Job(24, 1, 2, 1, 1, true, 21);
    job.failsOverAlone = true;
    job.run();

    assertThat(job.poisoned).isEqualTo(job.killers);
    assertThat(job.restarts).isLessThanOrEqualTo(4);
  }

  @Property(tries = 500)
  void aProcessThatIsKilledFromOutsideNowAndThenPoisonsNobody(
      @ForAll @IntRange(min = 1, max = 60) int requests,
      @ForAll @IntRange(min = 1, max = 3) int subtasks,
      @ForAll @IntRange(min = 1, max = 12) int capacity,
      @ForAll long seed) {
    Job job = new Job(requests, 0, subtasks, 1, capacity, true, seed);
    job.killOnceFromOutside = true;
    job.run();

    assertThat(job.poisoned).isEmpty();
    assertThat(job.finished).isEqualTo(job.innocent());
  }

  @Property(tries = 500)
  void whatIsKnownOutlivesTheJobManager(
      @ForAll @IntRange(min = 1, max = 30) int requests, @ForAll long seed) {
    Job job = new Job(requests, 1, 2, 1, 6, true, seed);
    job.newLeaders = true;
    job.run();

    assertThat(job.poisoned).isEqualTo(job.killers);
    assertThat(job.finished).isEqualTo(job.innocent());
  }

  @Example
  void nothingIsAskedBeforeAFailureAndNothingAfterItsWatch() {
    Suspects suspects = new Suspects(LIMITS);
    Speaker first = new Speaker("op", 0, "1", "p1");
    assertThat(suspects.begins(first, 0)).isFalse();

    assertThat(suspects.begins(new Speaker("op", 0, "2", "p2"), 0)).isTrue();
    suspects.checkpointBegins(1);
    suspects.checkpointCompleted(1);
    assertThat(suspects.isWatched()).as("it has not asked yet").isTrue();
    suspects.mayRun(new Speaker("op", 0, "2", "p2"), List.of(), List.of("a"));
    suspects.mayRun(new Speaker("op", 0, "2", "p2"), List.of("a"), List.of());
    suspects.checkpointBegins(2);
    suspects.checkpointCompleted(2);
    assertThat(suspects.isWatched()).isFalse();
  }

  @Example
  void aTaskThatEndsAsTasksDoAccusesNobody() {
    Suspects suspects = new Suspects(LIMITS);
    Speaker first = new Speaker("op", 0, "1", "p1");
    suspects.begins(first, 4);
    suspects.ends(first);
    assertThat(suspects.begins(new Speaker("op", 0, "2", "p2"), 4)).isFalse();
    suspects.endsInOrder("op", 0); // its task manager was stopped
    assertThat(suspects.begins(new Speaker("op", 0, "3", "p3"), 4)).isFalse();
    // Its word was lost, but its process goes on.
    assertThat(suspects.begins(new Speaker("op", 0, "4", "p3"), 4)).isFalse();
  }

  @Example
  void aRequestThatSharedItsCallWithAnothersJobIsNotCounted() {
    Suspects suspects = new Suspects(new Suspects.Limits(1, 1));
    Speaker first = new Speaker("op", 0, "1", "p1");
    suspects.begins(first, 4);
    suspects.fails(first, List.of("a"), 2);
    suspects.ends(first);
    Speaker second = new Speaker("op", 0, "2", "p1");
    assertThat(suspects.begins(second, 4)).isTrue();
    assertThat(suspects.mayRun(second, List.of(), List.of("a")).run()).containsExactly("a");
    suspects.fails(second, List.of("a"), 1);
    suspects.ends(second);
    Speaker third = new Speaker("op", 0, "3", "p1");
    suspects.begins(third, 4);
    assertThat(suspects.mayRun(third, List.of(), List.of("a")).poison()).containsKey("a");
  }

  @Example
  void twoOperatorsInOneProcessDoNotRunTheirSuspectsAtOnce() {
    Suspects suspects = new Suspects(LIMITS);
    suspects.begins(new Speaker("a", 0, "1", "p1"), 4);
    suspects.begins(new Speaker("b", 0, "1", "p1"), 4);
    Speaker a = new Speaker("a", 0, "2", "p2");
    Speaker b = new Speaker("b", 0, "2", "p2");
    suspects.begins(a, 4);
    suspects.begins(b, 4);
    assertThat(suspects.mayRun(a, List.of(), List.of("x")).run()).containsExactly("x");
    assertThat(suspects.mayRun(b, List.of(), List.of("y")).run()).isEmpty();
    suspects.mayRun(a, List.of("x"), List.of());
    assertThat(suspects.mayRun(b, List.of(), List.of("y")).run()).containsExactly("y");
  }

  @Example
  void savedBytesOfAnotherVersionAreRefused() {
    byte[] bytes = new Suspects(LIMITS).save();
    bytes[0] = 99;
    org.assertj.core.api.Assertions.assertThatThrownBy(() -> Suspects.restore(LIMITS, bytes))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("version 99");
  }

  /** One subtask's attempt. */
  private static final class Task {
    final int index;
    Speaker self;
    boolean free;
    final Deque<String> toRead = new ArrayDeque<>();
    final Set<String> held = new LinkedHashSet<>();
    final Set<String> running = new LinkedHashSet<>();
    List<String> ended = new ArrayList<>();
    long read;

    Task(int index) {
      this.index = index;
    }

    int inFlight() {
      return held.size() + running.size();
    }
  }

  private record Saved(
      List<List<String>> unread,
      List<List<String>> inFlight,
      Set<String> finished,
      Set<String> poisoned,
      byte[] suspects) {}

  private static final class Job {
    final Random random;
    final int capacity;
    final int processes;
    final boolean death;
    final Set<String> all = new TreeSet<>();
    final Set<String> killers = new TreeSet<>();
    final Set<String> finished = new TreeSet<>();
    final Set<String> poisoned = new TreeSet<>();
    final List<Task> tasks = new ArrayList<>();
    Suspects suspects = new Suspects(LIMITS);
    Saved saved;
    int restarts;
    int attempts;
    int incarnation;
    long checkpoints;
    boolean killOnceFromOutside;
    boolean newLeaders;
    boolean failsOverAlone;

    Job(
        int requests,
        int killers,
        int subtasks,
        int processes,
        int capacity,
        boolean death,
        long seed) {
      this.random = new Random(seed);
      this.capacity = capacity;
      this.processes = processes;
      this.death = death;
      List<List<String>> unread = new ArrayList<>();
      List<List<String>> none = new ArrayList<>();
      for (int i = 0; i < subtasks; i++) {
        tasks.add(new Task(i));
        unread.add(new ArrayList<>());
        none.add(List.of());
      }
      for (int i = 0; i < requests; i++) {
        String key = "r%03d".formatted(i);
        all.add(key);
        unread.get(i % subtasks).add(key);
      }
      List<String> keys = new ArrayList<>(all);
      for (int i = 0; i < Math.min(killers, requests); i++) {
        this.killers.add(keys.remove(random.nextInt(keys.size())));
      }
      saved = new Saved(unread, none, Set.of(), Set.of(), suspects.save());
      begin();
    }

    Set<String> innocent() {
      Set<String> rest = new TreeSet<>(all);
      rest.removeAll(killers);
      return rest;
    }

    void begin() {
      attempts++;
      finished.clear();
      finished.addAll(saved.finished());
      poisoned.clear();
      poisoned.addAll(saved.poisoned());
      List<Task> order = new ArrayList<>(tasks);
      java.util.Collections.shuffle(order, random);
      for (Task task : order) {
        begin(task, "p" + task.index % processes + "#" + incarnation);
      }
    }

    void begin(Task task, String process) {
      task.self = new Speaker("op", task.index, "a" + attempts, process);
      task.toRead.clear();
      task.toRead.addAll(saved.unread().get(task.index));
      task.held.clear();
      task.running.clear();
      task.ended = new ArrayList<>();
      task.read = 0;
      task.free = !suspects.begins(task.self, capacity + 1);
      (task.free ? task.running : task.held).addAll(saved.inFlight().get(task.index));
    }

    /** Only what was in the process that died begins again, anywhere. */
    void failOver(String died) {
      restarts++;
      attempts++;
      Set<String> living = new TreeSet<>();
      tasks.forEach(task -> living.add(task.self.process()));
      living.remove(died);
      living.add("p#" + ++incarnation);
      for (Task task : tasks) {
        if (task.self.process().equals(died)) {
          takeBack(task, finished, saved.finished());
          takeBack(task, poisoned, saved.poisoned());
          begin(task, List.copyOf(living).get(random.nextInt(living.size())));
        }
      }
    }

    void takeBack(Task task, Set<String> ended, Set<String> savedAsEnded) {
      ended.removeIf(key -> isOf(task, key));
      savedAsEnded.stream().filter(key -> isOf(task, key)).forEach(ended::add);
    }

    boolean isOf(Task task, String key) {
      return Integer.parseInt(key.substring(1)) % tasks.size() == task.index;
    }

    void run() {
      for (int moves = 0; finished.size() + poisoned.size() < all.size(); moves++) {
        assertThat(moves).as("moves").isLessThan(200_000);
        Task task = tasks.get(random.nextInt(tasks.size()));
        int choice = random.nextInt(100);
        if (choice < 35) {
          read(task);
        } else if (choice < 60) {
          ask(task);
        } else if (choice < 96) {
          work(task);
        } else if (choice < 99) {
          checkpoint();
        } else if (killOnceFromOutside) {
          killOnceFromOutside = false;
          die(task);
        }
      }
    }

    void read(Task task) {
      if (task.toRead.isEmpty() || task.inFlight() >= capacity) {
        return;
      }
      String key = task.toRead.poll();
      if (task.free) {
        task.running.add(key);
        if (++task.read % 2 == 0) {
          suspects.hasRead(task.self, task.read);
        }
      } else {
        task.held.add(key);
      }
    }

    void ask(Task task) {
      if (task.free || !task.running.isEmpty() || task.held.isEmpty() && task.ended.isEmpty()) {
        return;
      }
      Verdict verdict = suspects.mayRun(task.self, task.ended, List.copyOf(task.held));
      task.ended = new ArrayList<>();
      if (!verdict.watched()) {
        task.free = true;
        task.running.addAll(task.held);
        task.read += task.held.size();
        task.held.clear();
        return;
      }
      verdict.run().forEach(key -> assertThat(task.held.remove(key)).isTrue());
      task.running.addAll(verdict.run());
      for (String key : verdict.poison().keySet()) {
        task.held.remove(key);
        task.ended.add(key);
        poisoned.add(key);
      }
    }

    void work(Task task) {
      if (task.running.isEmpty()) {
        return;
      }
      String key = List.copyOf(task.running).get(random.nextInt(task.running.size()));
      if (!killers.contains(key)) {
        task.running.remove(key);
        finished.add(key);
        if (!task.free) {
          task.ended.add(key);
        }
      } else if (death) {
        die(task);
      } else {
        // The call that fails has this one in it, and others of its subtask.
        List<String> batch = new ArrayList<>(List.of(key));
        task.running.stream()
            .filter(other -> !other.equals(key) && random.nextBoolean())
            .forEach(batch::add);
        suspects.fails(task.self, batch, batch.size());
        tasks.forEach(other -> suspects.ends(other.self));
        restart();
      }
    }

    void die(Task task) {
      String process = task.self.process();
      if (failsOverAlone) {
        failOver(process);
        return;
      }
      tasks.stream()
          .filter(other -> !other.self.process().equals(process))
          .forEach(other -> suspects.ends(other.self));
      incarnation++;
      restart();
    }

    void restart() {
      restarts++;
      begin();
    }

    void checkpoint() {
      long id = ++checkpoints;
      suspects.checkpointBegins(id);
      byte[] bytes = suspects.save();
      List<List<String>> unread = new ArrayList<>();
      List<List<String>> inFlight = new ArrayList<>();
      for (Task task : tasks) {
        unread.add(List.copyOf(task.toRead));
        List<String> here = new ArrayList<>(task.held);
        here.addAll(task.running);
        inFlight.add(here);
      }
      saved = new Saved(unread, inFlight, Set.copyOf(finished), Set.copyOf(poisoned), bytes);
      suspects.checkpointCompleted(id);
      if (newLeaders && random.nextInt(4) == 0) {
        suspects = Suspects.restore(LIMITS, bytes);
        tasks.forEach(task -> suspects.ends(task.self));
        begin();
      }
    }
  }
}
