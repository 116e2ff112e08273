/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.batching.PooledModel.Waiter;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import org.apache.flink.annotation.Internal;

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

  /** By device. The lock of all that the pool and its members know. */
  private final Map<String, DeviceModels> devices = new HashMap<>();

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
      DeviceModels at = devices.get(device);
      return at == null ? new Counts(0, 0, 0) : at.counts(model);
    }
  }

  /** How many models are loaded, being loaded, being freed, or asked for. */
  public int size() {
    synchronized (devices) {
      return devices.values().stream().mapToInt(DeviceModels::size).sum();
    }
  }

  /** Most bytes that weights of models have taken on a device at once, since the process began. */
  public long mostBytes(String device) {
    synchronized (devices) {
      return devices.containsKey(device) ? devices.get(device).mostBytes() : 0;
    }
  }

  // ------------------------------------------------------------------ members

  /** A task's share of a device's models. */
  public final class Member implements AutoCloseable {
    private final String device;
    final MemoryShare share;
    final BatchSettings settings;
    final Patience patience;
    final Duration stay;
    final SessionListener listener;

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
        devices
            .computeIfAbsent(
                device, name -> new DeviceModels(devices, batchers, loaders, ticker, alarm))
            .joined(this);
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
      Waiter waiter = new Waiter(this, source, kept, new CompletableFuture<>());
      CompletableFuture<Found> place = find(source);
      if (place.isDone() && !place.isCompletedExceptionally()) {
        enter(waiter, place.join());
      } else {
        place.whenComplete(
            (there, failure) -> {
              if (failure == null) {
                enter(waiter, there);
              } else {
                waiter.answer().completeExceptionally(cause(failure));
              }
            });
      }
      waiter
          .answer()
          .whenComplete(
              (any, failure) -> {
                if (failure instanceof CancellationException) {
                  lookAgain(); // others may have room now
                }
              });
      return waiter.answer();
    }

    private void lookAgain() {
      AfterLock later = new AfterLock();
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
      AfterLock later = new AfterLock();
      synchronized (devices) {
        CompletableFuture<Found> latest = found.get(source.model());
        if (latest != null && latest.isDone() && !latest.isCompletedExceptionally()) {
          devices.get(device).forget(this, source.model(), Optional.of(latest.join().key()), later);
        }
      }
      later.run();
    }

    /**
     * Says that no more requests will come for a model, such as an earlier version: it is freed
     * when its last request is done, unless other members use it.
     */
    public void forget(ModelSource source) {
      AfterLock later = new AfterLock();
      synchronized (devices) {
        found.remove(source.model());
        devices.get(device).forget(this, source.model(), Optional.empty(), later);
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
      AfterLock later = new AfterLock();
      synchronized (devices) {
        if (closed) {
          later.add(() -> waiter.answer().cancel(false));
        } else if (!waiter.answer().isDone()) {
          devices.get(device).enter(waiter, there.key(), there.bytes(), later);
        }
      }
      later.run();
    }

    /** One more request holds a model. The caller has the lock. */
    Use hold(PooledModel entry, BatchSession session) {
      Use use = new Use(this, entry, session);
      uses.add(use);
      return use;
    }

    /**
     * No request holds a model any more. The caller has the lock.
     *
     * @return what was held, once for each use
     */
    List<PooledModel> releaseAll() {
      List<PooledModel> held = uses.stream().map(use -> use.entry).toList();
      uses.clear();
      return held;
    }

    /**
     * Gives up what waits and what is under way. Models that nobody else has used are freed when
     * they have stayed for the time given to {@link #join}.
     */
    @Override
    public void close() {
      AfterLock later = new AfterLock();
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
    private final PooledModel entry;
    private final BatchSession session;

    private Use(Member member, PooledModel entry, BatchSession session) {
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
      AfterLock later = new AfterLock();
      synchronized (devices) {
        if (member.uses.remove(this)) {
          devices.get(member.device).used(entry, later);
        }
      }
      later.run();
    }
  }

  private record Found(SharedBatchers.Key key, long bytes) {}

  /** What a future's failure is about. */
  static Throwable cause(Throwable failure) {
    return failure instanceof CompletionException && failure.getCause() != null
        ? failure.getCause()
        : failure;
  }
}
