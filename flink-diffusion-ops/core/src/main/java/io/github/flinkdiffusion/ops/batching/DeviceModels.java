/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.batching.ModelPool.Member;
import io.github.flinkdiffusion.ops.batching.ModelPool.Use;
import io.github.flinkdiffusion.ops.batching.PooledModel.State;
import io.github.flinkdiffusion.ops.batching.PooledModel.Waiter;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The models of one device: which are loaded, which of them goes if another needs its memory, and
 * which is loaded next. {@link ModelPool} says by which rules.
 *
 * <p>Whoever calls holds the lock that it was given, and runs what is to be done {@link AfterLock}.
 */
final class DeviceModels {
  private static final Logger LOG = LoggerFactory.getLogger(DeviceModels.class);

  private final Object lock;
  private final SharedBatchers batchers;
  private final Executor loaders;
  private final Ticker ticker;
  private final ModelPool.Alarm alarm;

  private final Set<Member> members = new LinkedHashSet<>();
  private final Map<SharedBatchers.Key, PooledModel> entries = new LinkedHashMap<>();
  private final Deque<PooledModel> wanted = new ArrayDeque<>();

  /** Those that still take memory. */
  private final Set<PooledModel> leaving = new HashSet<>();

  private final Map<String, Tally> tallies = new HashMap<>();
  private long most;
  private long useCount;
  private boolean alarmed;

  private static final class Tally {
    long loads;
    long unloads;
  }

  DeviceModels(
      Object lock,
      SharedBatchers batchers,
      Executor loaders,
      Ticker ticker,
      ModelPool.Alarm alarm) {
    this.lock = lock;
    this.batchers = batchers;
    this.loaders = loaders;
    this.ticker = ticker;
    this.alarm = alarm;
  }

  ModelPool.Counts counts(String model) {
    Tally tally = tallies.getOrDefault(model, new Tally());
    return new ModelPool.Counts(
        tally.loads,
        tally.unloads,
        Stream.concat(entries.values().stream(), leaving.stream())
            .filter(entry -> entry.key.model().equals(model) && entry.takesMemory())
            .mapToLong(entry -> entry.bytes)
            .sum());
  }

  /** How many models are loaded, being loaded, being freed, or asked for. */
  int size() {
    return entries.size() + leaving.size();
  }

  /** Most bytes that weights have taken at once. */
  long mostBytes() {
    return most;
  }

  void joined(Member member) {
    members.add(member);
  }

  void enter(Waiter waiter, SharedBatchers.Key key, long bytes, AfterLock later) {
    PooledModel entry = entries.get(key);
    // Whoever was told that the device failed gets what says so again; others get a new one.
    if (entry != null
        && entry.state == State.READY
        && !entry.sessions.containsKey(waiter.member())
        && entry.lease.batcher().hasFailed()) {
      leave(entry, later);
      entry = null;
    }
    if (entry != null && entry.staying && !entry.settings.equals(waiter.member().settings)) {
      leave(entry, later);
      entry = null;
    }
    if (entry == null) {
      entry = new PooledModel(key, bytes);
      entries.put(entry.key, entry);
      wanted.add(entry);
    }
    if (entry.state == State.READY && !entry.draining) {
      grant(waiter, entry, later);
    } else {
      entry.waiters.add(waiter);
      advance(later);
    }
  }

  private void grant(Waiter waiter, PooledModel entry, AfterLock later) {
    Member member = waiter.member();
    try {
      BatchSession session = entry.sessions.get(member);
      if (session == null) {
        session = entry.lease.batcher().join(member.listener);
        entry.sessions.put(member, session);
        if (!entry.settings.equals(member.settings)) {
          LOG.warn(
              "Model {} on {} is shared and already runs with {}; these settings are ignored:"
                  + " {}.",
              entry.key.model(),
              entry.key.device(),
              entry.settings,
              member.settings);
        }
      }
      if (waiter.kept()) {
        entry.members.add(member);
      }
      Use use = member.hold(entry, session);
      entry.uses++;
      entry.lastUse = ++useCount;
      entry.staying = false;
      later.add(
          () -> {
            if (!waiter.answer().complete(use)) {
              use.close(); // whoever waited has given up
            }
          });
    } catch (BatchingException e) {
      later.add(() -> waiter.answer().completeExceptionally(e));
    }
  }

  /** A member will ask no more for a model, except for the entry with the key {@code kept}. */
  void forget(Member member, String model, Optional<SharedBatchers.Key> kept, AfterLock later) {
    for (PooledModel entry : List.copyOf(entries.values())) {
      if (entry.key.model().equals(model)
          && !kept.equals(Optional.of(entry.key))
          && entry.members.remove(member)) {
        leaveIfUnwanted(entry, later);
      }
    }
    advance(later);
  }

  void used(PooledModel entry, AfterLock later) {
    entry.uses--;
    leaveIfUnwanted(entry, later);
    if (entry.uses == 0) {
      advance(later);
    }
  }

  void left(Member member, AfterLock later) {
    members.remove(member);
    for (PooledModel held : member.releaseAll()) {
      held.uses--;
    }
    for (PooledModel entry : List.copyOf(entries.values())) {
      entry.members.remove(member);
      BatchSession session = entry.sessions.remove(member);
      if (session != null) {
        session.close();
      }
      for (Waiter waiter : entry.waiters) {
        if (waiter.member() == member) {
          later.add(() -> waiter.answer().cancel(false));
        }
      }
      entry.waiters.removeIf(waiter -> waiter.member() == member);
      if (session != null && !member.stay.isZero()) {
        stayIfUnwanted(entry, member.stay, later);
      }
      leaveIfUnwanted(entry, later);
    }
    advance(later);
  }

  private void stayIfUnwanted(PooledModel entry, Duration time, AfterLock later) {
    if (!entry.isWanted()
        && entry.state == State.READY
        && wanted.isEmpty()
        && !entry.lease.batcher().hasFailed()) {
      entry.staying = true;
      long since = entry.lastUse;
      later.add(ClassesAhead::load); // the job's class loader may be closed when it ends
      later.add(() -> alarm.after(time, () -> endStay(entry, since)));
    }
  }

  private void endStay(PooledModel entry, long since) {
    AfterLock later = new AfterLock();
    synchronized (lock) {
      if (entry.staying && entry.lastUse == since) {
        entry.staying = false;
        leaveIfUnwanted(entry, later);
        advance(later);
      }
    }
    later.run();
  }

  private void leaveIfUnwanted(PooledModel entry, AfterLock later) {
    if (entry.staying || entry.isWanted()) {
      return;
    }
    switch (entry.state) {
      case WANTED -> {
        wanted.remove(entry);
        entries.remove(entry.key, entry);
      }
      case LOADING -> {
        if (entry.loader != null && entry.loader != Thread.currentThread()) {
          entry.loader.interrupt(); // a wait for others; what is being loaded is freed then
        }
      }
      case READY -> leave(entry, later);
      case LEAVING -> {}
    }
  }

  private void leave(PooledModel entry, AfterLock later) {
    entry.state = State.LEAVING;
    entry.staying = false;
    entries.remove(entry.key, entry);
    leaving.add(entry);
    wantAgain(entry);
    entry.closeSessions();
    tally(entry).unloads++;
    later.add(
        () -> {
          entry.lease.close();
          entry.lease.freed().thenRun(() -> gone(entry));
        });
  }

  private Tally tally(PooledModel entry) {
    return tallies.computeIfAbsent(entry.key.model(), model -> new Tally());
  }

  private void gone(PooledModel entry) {
    AfterLock later = new AfterLock();
    synchronized (lock) {
      leaving.remove(entry);
      advance(later);
    }
    later.run();
  }

  /** For those who have asked for a model meanwhile that was to go. */
  private void wantAgain(PooledModel entry) {
    entry.forgetAnswered();
    if (!entry.waiters.isEmpty()) {
      PooledModel next = new PooledModel(entry.key, entry.bytes);
      next.waiters.addAll(entry.waiters);
      entries.put(next.key, next);
      wanted.add(next);
    }
  }

  // ---------------------------------------------------------------- memory

  private MemoryShare share() {
    return members.stream()
        .map(member -> member.share)
        .reduce(MemoryShare::and)
        .orElse(MemoryShare.UNLIMITED);
  }

  private long loadedBytes() {
    return entries.values().stream()
        .filter(PooledModel::takesMemory)
        .mapToLong(entry -> entry.bytes)
        .sum();
  }

  /**
   * What all take, less what the next one's own last copy takes that is being freed: a device never
   * holds two, so the next one is loaded when that is gone.
   */
  private long takenBeside(SharedBatchers.Key next) {
    return loadedBytes()
        + leaving.stream()
            .filter(gone -> !gone.key.equals(next) && !isLoading(gone.key))
            .mapToLong(entry -> entry.bytes)
            .sum();
  }

  private boolean isLoading(SharedBatchers.Key key) {
    return entries.containsKey(key) && entries.get(key).takesMemory();
  }

  private List<PooledModel> ready(Comparator<PooledModel> order) {
    return entries.values().stream()
        .filter(entry -> entry.state == State.READY)
        .sorted(order)
        .toList();
  }

  /** Loads what fits, in the order in which it was asked for, and makes room for the next. */
  void advance(AfterLock later) {
    MemoryShare share = share();
    while (!wanted.isEmpty()) {
      PooledModel next = wanted.peek();
      if (!next.isWanted()) {
        wanted.remove();
        entries.remove(next.key, next);
        continue;
      }
      for (PooledModel staying : ready(Comparator.comparingLong(entry -> entry.lastUse))) {
        if (staying.staying) {
          leave(staying, later);
        }
      }
      if (share.bytes().isPresent() && next.bytes > share.bytes().getAsLong()) {
        wanted.remove();
        entries.remove(next.key, next);
        fail(next, tooLarge(next, share.bytes().getAsLong()), later);
      } else if (share.bytes().isEmpty()
          || next.bytes <= share.bytes().getAsLong() - takenBeside(next.key)) {
        wanted.remove();
        load(next, later);
      } else {
        makeRoom(next, share, later);
        return;
      }
    }
    for (PooledModel drained : ready(Comparator.comparingLong(entry -> entry.lastUse))) {
      if (drained.draining) { // whoever waited for its memory has given up
        drained.draining = false;
        List<Waiter> waiters = List.copyOf(drained.waiters);
        drained.waiters.clear();
        waiters.forEach(waiter -> grant(waiter, drained, later));
      }
    }
  }

  private void makeRoom(PooledModel next, MemoryShare share, AfterLock later) {
    long room = share.bytes().orElseThrow() - loadedBytes(); // what is leaving counts as gone
    for (PooledModel idle : ready(Comparator.comparingLong(entry -> entry.lastUse))) {
      if (room >= next.bytes) {
        return; // it comes
      }
      if (idle.uses == 0) {
        LOG.info(
            "Model {} on {} is unloaded, because {} needs its memory.",
            idle.key.model(),
            idle.key.device(),
            next.key.model());
        room += idle.bytes;
        leave(idle, later);
      }
    }
    for (PooledModel busy : ready(Comparator.comparingLong(entry -> entry.loadedNanos))) {
      if (room >= next.bytes) {
        return;
      }
      if (!busy.draining) {
        Duration left = share.turn().minusNanos(ticker.nanos() - busy.loadedNanos);
        if (!left.isNegative() && !left.isZero()) {
          wakeAfter(left, later);
          return;
        }
        LOG.info(
            "Model {} on {} accepts no more requests until its last ones are done, because {}"
                + " needs its memory.",
            busy.key.model(),
            busy.key.device(),
            next.key.model());
        busy.draining = true;
      }
      room += busy.bytes;
    }
  }

  private void wakeAfter(Duration time, AfterLock later) {
    if (alarmed) {
      return;
    }
    alarmed = true;
    later.add(() -> alarm.after(time, this::wake));
  }

  private void wake() {
    AfterLock later = new AfterLock();
    synchronized (lock) {
      alarmed = false;
      advance(later);
    }
    later.run();
  }

  // ---------------------------------------------------------------- loading

  private void load(PooledModel entry, AfterLock later) {
    Waiter first = entry.waiters.peek();
    Member member = first.member();
    entry.state = State.LOADING;
    entry.settings = member.settings;
    most = Math.max(most, takenBeside(entry.key));
    later.add(() -> loaders.execute(() -> load(entry, first.source(), member)));
  }

  private void load(PooledModel entry, ModelSource source, Member by) {
    synchronized (lock) {
      entry.loader = Thread.currentThread();
    }
    SharedBatchers.Lease lease = null;
    Throwable failure = null;
    try {
      lease =
          batchers.acquire(
              entry.key,
              entry.settings,
              () -> source.open(entry.key.device()),
              by.patience,
              source::digest);
    } catch (InterruptedException | RuntimeException | Error e) {
      failure = e;
    }
    loaded(entry, lease, failure);
  }

  private void loaded(PooledModel entry, SharedBatchers.Lease lease, Throwable failure) {
    AfterLock later = new AfterLock();
    synchronized (lock) {
      entry.loader = null;
      boolean wantedStill = entry.isWanted();
      List<Waiter> waiters = List.copyOf(entry.waiters);
      if (failure == null) {
        entry.lease = lease;
        entry.state = State.READY;
        entry.loadedNanos = ticker.nanos();
        tally(entry).loads++;
        entry.waiters.clear();
        if (wantedStill) {
          waiters.forEach(waiter -> grant(waiter, entry, later));
        } else {
          leave(entry, later);
        }
      } else {
        entries.remove(entry.key, entry);
        if (failure instanceof InterruptedException) {
          wantAgain(entry); // those who had asked have left; others may have come since
        } else {
          fail(entry, failure, later);
        }
      }
      advance(later);
    }
    later.run();
  }

  private void fail(PooledModel entry, Throwable failure, AfterLock later) {
    for (Waiter waiter : entry.waiters) {
      later.add(() -> waiter.answer().completeExceptionally(failure));
    }
    entry.waiters.clear();
  }

  private static OversizedModelException tooLarge(PooledModel entry, long budget) {
    return new OversizedModelException(
        "Model %s takes about %d MiB of memory on %s, more than the models of a device may take together, %d MiB (diffusion.device.models-memory)."
            .formatted(entry.key.model(), entry.bytes >> 20, entry.key.device(), budget >> 20));
  }
}
