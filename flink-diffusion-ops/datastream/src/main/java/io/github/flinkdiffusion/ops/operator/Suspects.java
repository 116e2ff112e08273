/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Finds the request that ends the process, or fails the task, whenever it is run. A pure object:
 * what happens is told to it, what may run is asked of it.
 *
 * <p>Normally everything may run and nothing is said. After a process has died, or a device call
 * has failed, a job is <em>watched</em>: its subtasks hold their requests and ask which may run.
 * One subtask of a process runs some at a time (its <em>turn</em>), so who dies with it was among
 * those. A group that died is run by halves: the half that dies becomes a group, the one that ends
 * is cleared. So a guilty request runs alone after at most ceil(log2 n) restarts. Each failure
 * while it was alone is counted; at the limit it is not run any more and gets a verdict instead.
 *
 * <p>Nobody is accused for running while others died: those cleared before run together, but not
 * with suspects, and are suspects again should their process die.
 *
 * <p>The watch ends when no group is left, everything that may have been read before the failure
 * has ended, and a checkpoint holds it. Before that, requests that were read after the last
 * checkpoint come again from the source; how many is known from counts that subtasks send now and
 * then.
 */
final class Suspects {
  /** Of keys that are cleared; whoever is forgotten is a suspect once more. */
  static final int MOST_CLEARED = 16_384;

  private static final int MOST_PENDING = 16;
  private static final long MOST_REPLAYED = 1_000_000;
  private final Limits limits;

  /**
   * @param failures a request is tried so often, when it fails its task
   * @param deaths and so often when it ends its process
   */
  record Limits(int failures, int deaths) implements java.io.Serializable {}

  private record Seat(String operator, int subtask) {
    /** Nobody's: what a restored count is of. */
    static final Seat UNKNOWN = new Seat("", 0);
  }

  private static final class Member {
    final CoordinatorRequest.Speaker who;
    boolean free;
    boolean asked;
    final Set<String> running = new LinkedHashSet<>();
    Set<String> held = Set.of();

    Member(CoordinatorRequest.Speaker who) {
      this.who = who;
    }
  }

  /** Requests read by a seat's current attempt: as it says, or as they end while it asks. */
  private static final class Reads {
    final int uncounted;
    long said;
    long ended;
    long base;

    Reads(int uncounted) {
      this.uncounted = uncounted;
    }

    long count() {
      return said + ended;
    }

    long sinceCheckpoint() {
      return count() - base + uncounted;
    }
  }

  /** What is known when a checkpoint begins, for when it is complete. */
  private record Mark(
      long id, Map<Seat, Long> reads, long clearedUpTo, Set<String> settled, boolean replayed) {}

  private final Map<Seat, Member> members = new HashMap<>();
  private final Map<String, Seat> turns = new HashMap<>();
  private final Map<Seat, Reads> reads = new HashMap<>();
  private final LinkedHashMap<Long, Mark> marks = new LinkedHashMap<>();

  /** Reads of attempts that have ended since the last checkpoint. */
  private final Map<Seat, Long> readBefore = new HashMap<>();

  private boolean watched;

  /** Whether those that nobody has said anything of may be guilty: a process died with them. */
  private boolean allSuspected;

  /**
   * How many requests may still come to a seat that were read before the failure; never 0. Of each
   * seat, since what one has ended does not bring another's any nearer.
   */
  private final Map<Seat, Long> toCome = new HashMap<>();

  /** Who was at a seat, and had not ended, when nothing was left to come to it; never empty. */
  private final Map<Seat, Set<String>> late = new HashMap<>();

  /** Disjoint; a group of one was alone, or is what is left of a larger one. */
  private final List<Set<String>> groups = new ArrayList<>();

  private final Map<String, SavedSuspects.Guilt> guilt = new HashMap<>();
  private final Map<String, String> poison = new LinkedHashMap<>();

  /** Those whose verdict was carried out; forgotten with the next checkpoint. */
  private final Set<String> settled = new HashSet<>();

  /** Keys that have ended without harm, with the order in which they did. */
  private final LinkedHashMap<String, Long> cleared = new LinkedHashMap<>();

  private long clearings;

  Suspects(Limits limits) {
    this.limits = limits;
  }

  // ------------------------------------------------------------------ what happens

  /**
   * An attempt begins; the one before it in its place has ended by now.
   *
   * @param uncounted requests that it may have besides those that {@link #hasRead} tells of
   * @return whether it has to ask what may run
   */
  synchronized boolean begins(CoordinatorRequest.Speaker who, int uncounted) {
    Seat seat = seat(who);
    Member before = members.get(seat);
    if (before != null && before.who.equals(who)) {
      before.free = !watched;
      return watched; // its answer was lost
    }
    if (before != null) {
      if (before.who.process().equals(who.process())) {
        leave(before);
      } else {
        processDied(before.who.process());
      }
    }
    Reads old = reads.put(seat, new Reads(uncounted));
    if (old != null) {
      readBefore.merge(
          seat,
          Math.min(MOST_REPLAYED, old.sinceCheckpoint()),
          (all, more) -> Math.min(MOST_REPLAYED, all + more));
    }
    long replayed = readBefore.getOrDefault(seat, 0L);
    if (watched && replayed > 0) {
      toCome.merge(seat, replayed, Math::max);
    }
    marks.clear(); // what has begun before is aborted
    Member member = new Member(who);
    member.free = !watched;
    members.put(seat, member);
    return watched;
  }

  /** An attempt ends, and its process lives or was ended in order. */
  synchronized void ends(CoordinatorRequest.Speaker who) {
    Member member = members.get(seat(who));
    if (member != null && member.who.equals(who)) {
      leave(member);
    }
  }

  /** Ends the attempt of this seat, whichever it is. */
  synchronized void endsInOrder(String operator, int subtask) {
    Member member = members.get(new Seat(operator, subtask));
    if (member != null) {
      leave(member);
    }
  }

  private void leave(Member member) {
    Seat seat = seat(member.who);
    members.remove(seat, member);
    turns.remove(member.who.process(), seat);
    late.remove(seat); // they come again, or are done
  }

  private void processDied(String process) {
    Set<String> ranWatched = new LinkedHashSet<>();
    boolean ranFreely = false;
    for (Member member : List.copyOf(members.values())) {
      if (member.who.process().equals(process)) {
        ranFreely |= member.free;
        ranWatched.addAll(member.running);
        leave(member);
      }
    }
    if (ranFreely) {
      // Whoever it was, it comes again: from the state or from the source.
      allSuspected = true;
      watch();
    }
    if (ranFreely && !ranWatched.isEmpty()) {
      // One of them, or one that ran freely: where a subtask fails over alone, others go on.
      accuse(ranWatched, false, true);
    } else if (!ranWatched.isEmpty()) {
      watch(); // it may have ended just before
      accuse(ranWatched, ranWatched.size() == 1, true);
    }
  }

  synchronized void hasRead(CoordinatorRequest.Speaker who, long count) {
    Member member = members.get(seat(who));
    if (member != null && member.who.equals(who)) {
      reads.get(seat(who)).said = count;
    }
  }

  /** A call failed and with it the task; the process lives. */
  synchronized void fails(CoordinatorRequest.Speaker who, Collection<String> keys, int callSize) {
    Member member = members.get(seat(who));
    if (member == null || !member.who.equals(who) || keys.isEmpty()) {
      return;
    }
    watch();
    accuse(new LinkedHashSet<>(keys), keys.size() == 1 && callSize == 1, false);
    member.running.clear();
  }

  private void watch() {
    watched = true;
  }

  private void accuse(Set<String> keys, boolean alone, boolean death) {
    keys.forEach(this::suspectOnceMore);
    groups.add(keys);
    if (!alone) {
      return;
    }
    String key = keys.iterator().next();
    SavedSuspects.Guilt of =
        guilt.merge(
            key,
            death ? new SavedSuspects.Guilt(0, 1) : new SavedSuspects.Guilt(1, 0),
            SavedSuspects.Guilt::plus);
    int count = death ? of.deaths() : of.failures();
    if (count >= (death ? limits.deaths() : limits.failures())) {
      poison.put(
          key,
          (death
                  ? "the task manager's process ended %d times while it was the only request that"
                      + " ran (%s)"
                  : "a device call that was made for it alone failed %d times, and the task with it"
                      + " (%s)")
              .formatted(
                  count,
                  (death
                          ? DiffusionOptions.REQUEST_PROCESS_DEATHS
                          : DiffusionOptions.REQUEST_ATTEMPTS)
                      .key()));
      forget(key);
    }
  }

  private void suspectOnceMore(String key) {
    cleared.remove(key);
    removeFromGroups(key);
  }

  private void forget(String key) {
    guilt.remove(key);
    suspectOnceMore(key);
  }

  private boolean removeFromGroups(String key) {
    boolean found = false;
    for (Iterator<Set<String>> all = groups.iterator(); all.hasNext(); ) {
      Set<String> group = all.next();
      if (group.remove(key)) {
        found = true;
        if (group.isEmpty()) {
          all.remove();
        }
      }
    }
    return found;
  }

  // ------------------------------------------------------------------ what may run

  synchronized Verdict mayRun(
      CoordinatorRequest.Speaker who, Collection<String> ended, Collection<String> held) {
    Seat seat = seat(who);
    Member member = members.get(seat);
    if (member == null || !member.who.equals(who)) {
      return Verdict.WAIT; // its time is over, and nobody reads this
    }
    reads.get(seat).ended += ended.size();
    member.running.clear();
    member.held = Set.copyOf(held);
    member.asked = true;
    ended.forEach(key -> ended(seat, key));
    turns.remove(who.process(), seat);
    if (!watched) {
      member.free = true;
      return Verdict.FREE;
    }
    Map<String, String> condemned = new LinkedHashMap<>();
    List<String> candidates = new ArrayList<>();
    for (String key : member.held.size() == held.size() ? held : new LinkedHashSet<>(held)) {
      String why = poison.get(key);
      if (why == null) {
        candidates.add(key);
      } else {
        condemned.put(key, why);
      }
    }
    List<String> run = List.of();
    if (!candidates.isEmpty() && !turns.containsKey(who.process())) {
      run = choose(candidates);
      turns.put(who.process(), seat);
      member.running.addAll(run);
    }
    return new Verdict(true, run, condemned);
  }

  private void ended(Seat seat, String key) {
    late.computeIfPresent(
        seat,
        (of, keys) -> {
          keys.remove(key);
          return keys.isEmpty() ? null : keys;
        });
    Optional<Seat> counted =
        toCome.containsKey(seat)
            ? Optional.of(seat)
            // After a change of the parallelism they come to any.
            : toCome.keySet().stream().filter(other -> !members.containsKey(other)).findFirst();
    counted.ifPresent(of -> cameTo(of, key));
    if (poison.containsKey(key)) {
      settled.add(key);
      return;
    }
    guilt.remove(key);
    removeFromGroups(key);
    cleared.remove(key);
    cleared.put(key, ++clearings);
    if (cleared.size() > MOST_CLEARED) {
      cleared.remove(cleared.keySet().iterator().next());
    }
  }

  private void cameTo(Seat seat, String key) {
    long left = toCome.merge(seat, -1L, Long::sum);
    if (left > 0) {
      return;
    }
    toCome.remove(seat);
    members.forEach(
        (of, member) -> {
          Set<String> here = new HashSet<>(member.held);
          here.remove(key);
          if (!here.isEmpty() && (of.equals(seat) || !members.containsKey(seat))) {
            late.put(of, here);
          }
        });
  }

  private List<String> choose(List<String> candidates) {
    for (Set<String> group : groups) {
      if (group.size() > 1) {
        List<String> here = candidates.stream().filter(group::contains).toList();
        if (!here.isEmpty()) {
          return half(here, group.size());
        }
      }
    }
    List<String> innocent = candidates.stream().filter(cleared::containsKey).toList();
    if (!innocent.isEmpty()) {
      return innocent;
    }
    Set<String> accused = new HashSet<>();
    groups.forEach(accused::addAll);
    List<String> others = candidates.stream().filter(key -> !accused.contains(key)).toList();
    if (allSuspected && !replayIsThrough() && !others.isEmpty()) {
      return half(others, others.size());
    }
    // Those that were alone come last, when all others are through, or they would never come.
    return candidates.stream().filter(accused::contains).findFirst().map(List::of).orElse(others);
  }

  private static List<String> half(List<String> here, int of) {
    return here.subList(0, Math.min(here.size(), Math.max(1, of / 2)));
  }

  // ------------------------------------------------------------------ checkpoints

  synchronized void checkpointBegins(long id) {
    Map<Seat, Long> counts = new HashMap<>();
    reads.forEach((seat, of) -> counts.put(seat, of.count()));
    marks.put(id, new Mark(id, counts, clearings, Set.copyOf(settled), replayIsThrough()));
    if (marks.size() > MOST_PENDING) {
      marks.remove(marks.keySet().iterator().next());
    }
  }

  private boolean replayIsThrough() {
    return watched
        && toCome.isEmpty()
        && late.isEmpty()
        && members.values().stream().allMatch(member -> member.asked || member.free);
  }

  synchronized void checkpointCompleted(long id) {
    Mark mark = marks.get(id);
    if (mark == null) {
      return;
    }
    marks.keySet().removeIf(other -> other <= id);
    mark.reads().forEach((seat, count) -> reads.get(seat).base = count);
    readBefore.clear();
    cleared.values().removeIf(when -> when <= mark.clearedUpTo());
    mark.settled().forEach(poison::remove);
    settled.removeAll(mark.settled());
    if (mark.replayed()) {
      dropWhoIsGone();
    }
    if (watched && mark.replayed() && groups.isEmpty() && poison.isEmpty()) {
      watched = false;
      allSuspected = false;
      cleared.clear();
      guilt.clear();
    }
  }

  /** All that was read before has come again by now: who is nowhere is in the checkpoint. */
  private void dropWhoIsGone() {
    Set<String> here = new HashSet<>();
    members.values().forEach(member -> here.addAll(member.held));
    groups.forEach(group -> group.retainAll(here));
    groups.removeIf(Set::isEmpty);
    guilt.keySet().retainAll(here);
    poison.keySet().retainAll(here);
  }

  // ------------------------------------------------------------------ for others to know

  synchronized boolean isWatched() {
    return watched;
  }

  /** True when nothing would be lost with it. */
  synchronized boolean knowsNothing() {
    return !watched && members.isEmpty();
  }

  synchronized int accused() {
    return groups.stream().mapToInt(Set::size).sum();
  }

  // ------------------------------------------------------------------ saved

  /** Who was cleared is not saved, but found out again. */
  synchronized byte[] save() {
    long left = toCome.values().stream().mapToLong(Long::longValue).sum();
    return new SavedSuspects(watched, allSuspected, left, groups, guilt, poison).bytes();
  }

  /**
   * @throws DiffusionException when the bytes were not written by this or an earlier version
   */
  static Suspects restore(Limits limits, byte[] bytes) {
    SavedSuspects saved = SavedSuspects.of(bytes);
    Suspects restored = new Suspects(limits);
    restored.watched = saved.watched();
    restored.allSuspected = saved.allSuspected();
    if (saved.toCome() > 0) {
      restored.toCome.put(Seat.UNKNOWN, saved.toCome());
    }
    restored.groups.addAll(saved.groups());
    restored.guilt.putAll(saved.guilt());
    restored.poison.putAll(saved.poison());
    return restored;
  }

  private static Seat seat(CoordinatorRequest.Speaker who) {
    return new Seat(who.operator(), who.subtask());
  }
}
