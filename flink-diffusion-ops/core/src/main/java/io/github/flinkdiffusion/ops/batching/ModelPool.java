/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

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
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which models are loaded on the devices of a process: each is loaded when the first request needs
 * it, and stays until somebody else needs its memory.
 *
 * <p>A {@link Member} (a task) asks for a {@link Use} of a model for each request, and closes it
 * when the request is done. While a model has a use it is never unloaded. Of those without one, the
 * least recently used is unloaded when a model that is not loaded does not fit into the {@link
 * MemoryShare}; where that does not suffice, the one that was loaded first accepts no more requests
 * after its turn, so that its last ones end and the waiting model follows. Models that wait are
 * loaded in the order in which they were asked for, so every wait is bounded by the turns of those
 * ahead and by the requests that they have under way. With one model there is nothing to decide: it
 * is loaded, and stays.
 *
 * <p>When the last member that has used a model leaves, the model stays for the time that this
 * member asked for, so that a task that is restarted finds it; then it is freed. It is freed at
 * once if another model is to be loaded on the device, if the task comes back with other settings,
 * or if the device has failed.
 *
 * <p>Any thread may call; nothing here waits. Futures are completed by whichever thread made them
 * possible.
 */
@Internal
public final class ModelPool {
  private static final Logger LOG = LoggerFactory.getLogger(ModelPool.class);

  private static final ModelPool OF_PROCESS =
      new ModelPool(
          SharedBatchers.ofProcess(),
          ModelPool::onItsOwnThread,
          Ticker.SYSTEM,
          (after, task) ->
              CompletableFuture.delayedExecutor(after.toNanos(), TimeUnit.NANOSECONDS)
                  .execute(task));

  private final SharedBatchers batchers;
  private final Executor loaders;
  private final Ticker ticker;
  private final Alarm alarm;

  /** By device. */
  private final Map<String, Device> devices = new HashMap<>();

  /** Runs something after a time; whether exactly then does not matter. */
  @FunctionalInterface
  public interface Alarm {
    void after(Duration time, Runnable task);
  }

  /**
   * @param loaders run what waits for files and for devices; one task for each model that is loaded
   */
  public ModelPool(SharedBatchers batchers, Executor loaders, Ticker ticker, Alarm alarm) {
    this.batchers = batchers;
    this.loaders = loaders;
    this.ticker = ticker;
    this.alarm = alarm;
  }

  /** The pool that everybody in this process (and class loader) shares. */
  public static ModelPool ofProcess() {
    return OF_PROCESS;
  }

  private static void onItsOwnThread(Runnable task) {
    Thread thread = new Thread(task, "diffusion-load");
    thread.setContextClassLoader(ModelPool.class.getClassLoader());
    thread.setDaemon(true);
    thread.start();
  }

  /** Runs what waits for files, or for digests, as models are loaded. */
  public Executor loaders() {
    return loaders;
  }

  /**
   * What has become of a model on a device since the process began.
   *
   * @param loads how often it was loaded
   * @param unloads how often it was unloaded, for whatever reason
   * @param bytes that its weights take there now
   */
  public record Counts(long loads, long unloads, long bytes) {}

  /**
   * Begins a task's share.
   *
   * @param settings of batchers; only those of the first member that loads a model count for it
   * @param patience for a model that is being freed by somebody else
   * @param stay how long the models of this member stay loaded after it has left, unless others use
   *     them or need their place; zero or more
   * @param listener told of calls and of failed devices, for all models
   */
  public Member join(
      String device,
      MemoryShare share,
      BatchSettings settings,
      Patience patience,
      Duration stay,
      SessionListener listener) {
    return new Member(device, share, settings, patience, stay, listener);
  }

  /** Of a model that nobody has used: zeros. */
  public Counts counts(String device, String model) {
    synchronized (devices) {
      Device at = devices.get(device);
      if (at == null) {
        return new Counts(0, 0, 0);
      }
      Tally tally = at.tallies.getOrDefault(model, new Tally());
      return new Counts(
          tally.loads,
          tally.unloads,
          Stream.concat(at.entries.values().stream(), at.leaving.stream())
              .filter(entry -> entry.key.model().equals(model) && entry.takesMemory())
              .mapToLong(entry -> entry.bytes)
              .sum());
    }
  }

  /** How many models are loaded, being loaded, being freed, or asked for. */
  public int size() {
    synchronized (devices) {
      return devices.values().stream()
          .mapToInt(device -> device.entries.size() + device.leaving.size())
          .sum();
    }
  }

  /** Most bytes that weights of models have taken on a device at once, since the process began. */
  public long mostBytes(String device) {
    synchronized (devices) {
      return devices.containsKey(device) ? devices.get(device).most : 0;
    }
  }

  // ------------------------------------------------------------------ members

  /** A task's share of a device's models. */
  public final class Member implements AutoCloseable {
    private final String device;
    private final MemoryShare share;
    private final BatchSettings settings;
    private final Patience patience;
    private final Duration stay;
    private final SessionListener listener;

    /** By model. Guarded by {@link #devices}, as all below. */
    private final Map<String, CompletableFuture<Found>> found = new HashMap<>();

    private final Set<Use> uses = new HashSet<>();
    private boolean closed;

    private Member(
        String device,
        MemoryShare share,
        BatchSettings settings,
        Patience patience,
        Duration stay,
        SessionListener listener) {
      this.device = device;
      this.share = share;
      this.settings = settings;
      this.patience = patience;
      this.stay = stay;
      this.listener = listener;
      synchronized (devices) {
        devices.computeIfAbsent(device, name -> new Device()).members.add(this);
      }
    }

    /** Where its models run. */
    public String device() {
      return device;
    }

    /**
     * Asks for a model for one request.
     *
     * @param kept whether the model stays loaded for this member's later requests, unless others
     *     need its memory; one that is not kept is freed as soon as nobody uses it
     * @return completed at once if the model is loaded and not about to be unloaded. Completed
     *     exceptionally with what hinders it from being loaded: a {@link BatchingException}, an
     *     {@link OversizedModelException}, or what the source throws. Cancel it to give up waiting
     */
    public CompletableFuture<Use> use(ModelSource source, boolean kept) {
      Waiter waiter = new Waiter(this, source, kept);
      CompletableFuture<Found> place = find(source);
      if (place.isDone() && !place.isCompletedExceptionally()) {
        enter(waiter, place.join());
      } else {
        place.whenComplete(
            (there, failure) -> {
              if (failure == null) {
                enter(waiter, there);
              } else {
                waiter.future.completeExceptionally(cause(failure));
              }
            });
      }
      waiter.future.whenComplete(
          (any, failure) -> {
            if (failure instanceof CancellationException) {
              lookAgain(); // others may have room now
            }
          });
      return waiter.future;
    }

    private void lookAgain() {
      Later later = new Later();
      synchronized (devices) {
        devices.get(device).advance(later);
      }
      later.run();
    }

    /**
     * The next use of a model looks at its files anew: where they have changed, it gets the model
     * as they are now, beside the one that is loaded.
     */
    public void lookAgainAt(ModelSource source) {
      synchronized (devices) {
        found.remove(source.model());
      }
    }

    /** Forgets the model as its files were before they changed. */
    public void keepOnlyLatest(ModelSource source) {
      Later later = new Later();
      synchronized (devices) {
        CompletableFuture<Found> latest = found.get(source.model());
        if (latest != null && latest.isDone() && !latest.isCompletedExceptionally()) {
          forget(source.model(), Optional.of(latest.join().key()), later);
        }
      }
      later.run();
    }

    /** From all entries of a model but one. */
    private void forget(String model, Optional<SharedBatchers.Key> kept, Later later) {
      Device at = devices.get(device);
      for (Entry entry : List.copyOf(at.entries.values())) {
        if (entry.key.model().equals(model)
            && !kept.equals(Optional.of(entry.key))
            && entry.members.remove(this)) {
          at.leaveIfUnwanted(entry, later);
        }
      }
      at.advance(later);
    }

    /**
     * Says that no more requests will come for a model, such as an earlier version: it is freed
     * when its last request is done, unless other members use it.
     */
    public void forget(ModelSource source) {
      Later later = new Later();
      synchronized (devices) {
        found.remove(source.model());
        forget(source.model(), Optional.empty(), later);
      }
      later.run();
    }

    private CompletableFuture<Found> find(ModelSource source) {
      CompletableFuture<Found> place;
      synchronized (devices) {
        CompletableFuture<Found> known = found.get(source.model());
        if (known != null) {
          return known;
        }
        place = new CompletableFuture<>();
        found.put(source.model(), place);
      }
      loaders.execute(
          () -> {
            try {
              place.complete(
                  new Found(
                      new SharedBatchers.Key(source.model(), device, source.files()),
                      source.bytes(device)));
            } catch (RuntimeException | Error e) {
              synchronized (devices) {
                found.remove(source.model(), place); // the next request looks again
              }
              place.completeExceptionally(e);
            }
          });
      return place;
    }

    private void enter(Waiter waiter, Found there) {
      Later later = new Later();
      synchronized (devices) {
        if (closed) {
          later.add(() -> waiter.future.cancel(false));
        } else if (!waiter.future.isDone()) {
          devices.get(device).enter(waiter, there, later);
        }
      }
      later.run();
    }

    /**
     * Gives up what waits and what is under way. Models that nobody else has used are freed when
     * they have stayed for the time given to {@link #join}.
     */
    @Override
    public void close() {
      Later later = new Later();
      synchronized (devices) {
        if (closed) {
          return;
        }
        closed = true;
        devices.get(device).left(this, later);
      }
      later.run();
    }
  }

  /** One request's hold on a loaded model. */
  public final class Use implements AutoCloseable {
    private final Member member;
    private final Entry entry;
    private final BatchSession session;

    private Use(Member member, Entry entry, BatchSession session) {
      this.member = member;
      this.entry = entry;
      this.session = session;
    }

    public StepBatcher batcher() {
      return entry.lease.batcher();
    }

    /** Where the request is handed over. */
    public BatchSession session() {
      return session;
    }

    /** The request is done. Idempotent. */
    @Override
    public void close() {
      Later later = new Later();
      synchronized (devices) {
        if (member.uses.remove(this)) {
          devices.get(member.device).used(entry, later);
        }
      }
      later.run();
    }
  }

  private record Found(SharedBatchers.Key key, long bytes) {}

  private static final class Tally {
    long loads;
    long unloads;
  }

  private final class Waiter {
    final Member member;
    final ModelSource source;
    final boolean kept;
    final CompletableFuture<Use> future = new CompletableFuture<>();

    Waiter(Member member, ModelSource source, boolean kept) {
      this.member = member;
      this.source = source;
      this.kept = kept;
    }
  }

  /** What is done when the lock is free again: it calls others. */
  private static final class Later {
    private final Deque<Runnable> actions = new ArrayDeque<>();

    void add(Runnable action) {
      actions.add(action);
    }

    void run() {
      for (Runnable next = actions.poll(); next != null; next = actions.poll()) {
        next.run();
      }
    }
  }

  // ------------------------------------------------------------------ models on a device

  private enum State {
    /** Waits for memory. */
    WANTED,
    LOADING,
    READY,
    /** Being freed; no longer among the entries. */
    LEAVING
  }

  /** A model from when it is asked for until it is freed. */
  private static final class Entry {
    final SharedBatchers.Key key;
    final long bytes;
    final Set<Member> members = new LinkedHashSet<>();
    final Map<Member, BatchSession> sessions = new HashMap<>();
    final Deque<Waiter> waiters = new ArrayDeque<>();
    State state = State.WANTED;
    BatchSettings settings;
    SharedBatchers.Lease lease;
    Thread loader;
    int uses;
    long loadedNanos;
    long lastUse;

    /** Accepts no more requests, since its turn is over. */
    boolean draining;

    /** Stays for a task that may come back: nobody has used it since its last member left. */
    boolean staying;

    Entry(SharedBatchers.Key key, long bytes) {
      this.key = key;
      this.bytes = bytes;
    }

    boolean takesMemory() {
      return state != State.WANTED;
    }

    boolean isWanted() {
      waiters.removeIf(waiter -> waiter.future.isDone());
      return uses > 0 || !members.isEmpty() || !waiters.isEmpty();
    }
  }

  /** Guarded by {@link #devices}. */
  private final class Device {
    final Set<Member> members = new LinkedHashSet<>();
    final Map<SharedBatchers.Key, Entry> entries = new LinkedHashMap<>();
    final Deque<Entry> wanted = new ArrayDeque<>();

    /** Those that still take memory. */
    final Set<Entry> leaving = new HashSet<>();

    final Map<String, Tally> tallies = new HashMap<>();
    long most;
    private long useCount;
    private boolean alarmed;

    void enter(Waiter waiter, Found there, Later later) {
      Entry entry = entries.get(there.key());
      // Whoever was told that the device failed gets what says so again; others get a new one.
      if (entry != null
          && entry.state == State.READY
          && !entry.sessions.containsKey(waiter.member)
          && entry.lease.batcher().hasFailed()) {
        leave(entry, later);
        entry = null;
      }
      if (entry != null && entry.staying && !entry.settings.equals(waiter.member.settings)) {
        leave(entry, later);
        entry = null;
      }
      if (entry == null) {
        entry = new Entry(there.key(), there.bytes());
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

    private void grant(Waiter waiter, Entry entry, Later later) {
      Member member = waiter.member;
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
        if (waiter.kept) {
          entry.members.add(member);
        }
        Use use = new Use(member, entry, session);
        member.uses.add(use);
        entry.uses++;
        entry.lastUse = ++useCount;
        entry.staying = false;
        later.add(
            () -> {
              if (!waiter.future.complete(use)) {
                use.close(); // whoever waited has given up
              }
            });
      } catch (BatchingException e) {
        later.add(() -> waiter.future.completeExceptionally(e));
      }
    }

    void used(Entry entry, Later later) {
      entry.uses--;
      leaveIfUnwanted(entry, later);
      if (entry.uses == 0) {
        advance(later);
      }
    }

    void left(Member member, Later later) {
      members.remove(member);
      for (Use use : member.uses) {
        use.entry.uses--;
      }
      member.uses.clear();
      for (Entry entry : List.copyOf(entries.values())) {
        entry.members.remove(member);
        BatchSession session = entry.sessions.remove(member);
        if (session != null) {
          session.close();
        }
        for (Waiter waiter : entry.waiters) {
          if (waiter.member == member) {
            later.add(() -> waiter.future.cancel(false));
          }
        }
        entry.waiters.removeIf(waiter -> waiter.member == member);
        if (session != null && !member.stay.isZero()) {
          stayIfUnwanted(entry, member.stay, later);
        }
        leaveIfUnwanted(entry, later);
      }
      advance(later);
    }

    private void stayIfUnwanted(Entry entry, Duration time, Later later) {
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

    private void endStay(Entry entry, long since) {
      Later later = new Later();
      synchronized (devices) {
        if (entry.staying && entry.lastUse == since) {
          entry.staying = false;
          leaveIfUnwanted(entry, later);
          advance(later);
        }
      }
      later.run();
    }

    void leaveIfUnwanted(Entry entry, Later later) {
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

    private void leave(Entry entry, Later later) {
      entry.state = State.LEAVING;
      entry.staying = false;
      entries.remove(entry.key, entry);
      leaving.add(entry);
      wantAgain(entry);
      entry.sessions.values().forEach(BatchSession::close);
      entry.sessions.clear();
      tally(entry).unloads++;
      later.add(
          () -> {
            entry.lease.close();
            entry.lease.freed().thenRun(() -> gone(entry));
          });
    }

    private Tally tally(Entry entry) {
      return tallies.computeIfAbsent(entry.key.model(), model -> new Tally());
    }

    private void gone(Entry entry) {
      Later later = new Later();
      synchronized (devices) {
        leaving.remove(entry);
        advance(later);
      }
      later.run();
    }

    /** For those who have asked for a model meanwhile that was to go. */
    private void wantAgain(Entry entry) {
      entry.waiters.removeIf(waiter -> waiter.future.isDone());
      if (!entry.waiters.isEmpty()) {
        Entry next = new Entry(entry.key, entry.bytes);
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
          .filter(Entry::takesMemory)
          .mapToLong(entry -> entry.bytes)
          .sum();
    }

    /**
     * What all take, less what the next one's own last copy takes that is being freed: a device
     * never holds two, so the next one is loaded when that is gone.
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

    private List<Entry> ready(Comparator<Entry> order) {
      return entries.values().stream()
          .filter(entry -> entry.state == State.READY)
          .sorted(order)
          .toList();
    }

    /** Loads what fits, in the order in which it was asked for, and makes room for the next. */
    void advance(Later later) {
      MemoryShare share = share();
      while (!wanted.isEmpty()) {
        Entry next = wanted.peek();
        if (!next.isWanted()) {
          wanted.remove();
          entries.remove(next.key, next);
          continue;
        }
        for (Entry staying : ready(Comparator.comparingLong(entry -> entry.lastUse))) {
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
      for (Entry drained : ready(Comparator.comparingLong(entry -> entry.lastUse))) {
        if (drained.draining) { // whoever waited for its memory has given up
          drained.draining = false;
          List<Waiter> waiters = List.copyOf(drained.waiters);
          drained.waiters.clear();
          waiters.forEach(waiter -> grant(waiter, drained, later));
        }
      }
    }

    private void makeRoom(Entry next, MemoryShare share, Later later) {
      long room = share.bytes().orElseThrow() - loadedBytes(); // what is leaving counts as gone
      for (Entry idle : ready(Comparator.comparingLong(entry -> entry.lastUse))) {
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
      for (Entry busy : ready(Comparator.comparingLong(entry -> entry.loadedNanos))) {
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

    private void wakeAfter(Duration time, Later later) {
      if (alarmed) {
        return;
      }
      alarmed = true;
      later.add(() -> alarm.after(time, this::wake));
    }

    private void wake() {
      Later later = new Later();
      synchronized (devices) {
        alarmed = false;
        advance(later);
      }
      later.run();
    }

    // ---------------------------------------------------------------- loading

    private void load(Entry entry, Later later) {
      Waiter first = entry.waiters.peek();
      Member member = first.member;
      entry.state = State.LOADING;
      entry.settings = member.settings;
      most = Math.max(most, takenBeside(entry.key));
      later.add(() -> loaders.execute(() -> load(entry, first.source, member)));
    }

    private void load(Entry entry, ModelSource source, Member by) {
      synchronized (devices) {
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

    private void loaded(Entry entry, SharedBatchers.Lease lease, Throwable failure) {
      Later later = new Later();
      synchronized (devices) {
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

    private void fail(Entry entry, Throwable failure, Later later) {
      for (Waiter waiter : entry.waiters) {
        later.add(() -> waiter.future.completeExceptionally(failure));
      }
      entry.waiters.clear();
    }
  }

  private static OversizedModelException tooLarge(Entry entry, long budget) {
    return new OversizedModelException(
        "Model %s takes about %d MiB of memory on %s, more than the models of a device may take together, %d MiB (diffusion.device.models-memory)."
            .formatted(entry.key.model(), entry.bytes >> 20, entry.key.device(), budget >> 20));
  }

  /** What a future's failure is about. */
  static Throwable cause(Throwable failure) {
    return failure instanceof CompletionException && failure.getCause() != null
        ? failure.getCause()
        : failure;
  }
}
