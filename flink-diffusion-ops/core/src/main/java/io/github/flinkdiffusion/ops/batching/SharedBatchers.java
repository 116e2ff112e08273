/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The batchers of a process, one for each model on each device: however many callers share it, a
 * model is loaded once, and freed when the last of them is gone.
 *
 * <p>A caller that leaves never waits: the device's thread finishes its call alone and frees the
 * model after the last lease is released. A device never holds two copies of a model: a caller that
 * asks for one that is being freed, or that has failed, waits until it is gone, and says so in the
 * log.
 */
@Internal
public final class SharedBatchers {
  private static final Logger LOG = LoggerFactory.getLogger(SharedBatchers.class);
  private static final SharedBatchers OF_PROCESS =
      new SharedBatchers(
          (name, settings, opener) -> DeviceThread.start(name, settings, Ticker.SYSTEM, opener));

  private static final Duration BETWEEN_REPORTS = Duration.ofSeconds(30);

  private final Starter starter;
  private final Map<Key, Entry> entries = new HashMap<>();

  /**
   * @param starter how a device is set to work; tests give one that they step by hand
   */
  public SharedBatchers(Starter starter) {
    this.starter = starter;
  }

  /** The registry that everybody in this process (and class loader) shares. */
  public static SharedBatchers ofProcess() {
    return OF_PROCESS;
  }

  /**
   * What is shared.
   *
   * @param model names the loaded model: its place, precision and so on
   * @param device e.g. {@code cpu}, {@code gpu:0}
   * @param files equal while nobody has changed the model's files
   */
  public record Key(String model, String device, String files) {
    public Key {
      Objects.requireNonNull(model, "model");
      Objects.requireNonNull(device, "device");
      Objects.requireNonNull(files, "files");
    }

    /** Of a model whose files nobody changes. */
    public Key(String model, String device) {
      this(model, device, "");
    }

    private boolean isElsewise(Key other) {
      return model.equals(other.model) && device.equals(other.device) && !files.equals(other.files);
    }
  }

  /** A device at work. */
  public interface Device extends AutoCloseable {

    /**
     * Waits until the model is loaded.
     *
     * @throws BatchingException when it could not be
     */
    StepBatcher batcher() throws InterruptedException;

    /** True when it will never work (again). */
    boolean isBroken();

    /** Ends the work and frees the model after the current call; does not wait. Idempotent. */
    @Override
    void close();

    /** Completed when the model is freed, by whichever thread did that; never exceptionally. */
    CompletableFuture<Void> freed();
  }

  /** Sets a device to work. */
  @FunctionalInterface
  public interface Starter {

    /**
     * @param name for the thread
     * @param opener opens the pipeline; called on the device's thread
     */
    Device start(String name, BatchSettings settings, Callable<DiffusionPipeline> opener);
  }

  /**
   * Takes a share of a batcher; the first one loads the model, and everybody waits for that. An
   * interrupt ends every wait at once.
   *
   * @param settings of the batcher; only the first caller's counts
   * @param opener opens the pipeline on the device's thread; called for the first caller only
   * @param patience for a model that is being freed
   * @throws BatchingException when the model could not be loaded, or the wait was in vain
   */
  public Lease acquire(
      Key key, BatchSettings settings, Callable<DiffusionPipeline> opener, Patience patience)
      throws InterruptedException {
    return acquireAs(key, settings, opener, patience);
  }

  /**
   * As the other, for a model whose files may be replaced while others have it loaded. When they
   * have changed, their content decides: a caller shares a loaded model of equal digest, and
   * otherwise gets its own, beside the one that runs the earlier weights.
   *
   * @param digest of the model as its files are now; called only when they have changed
   */
  public Lease acquire(
      Key key,
      BatchSettings settings,
      Callable<DiffusionPipeline> opener,
      Patience patience,
      Supplier<String> digest)
      throws InterruptedException {
    return acquireAs(ofEqualContent(key, digest), settings, opener, patience);
  }

  /** The key of a loaded model with the same digest, or the key itself. */
  private Key ofEqualContent(Key key, Supplier<String> digest) throws InterruptedException {
    List<Entry> others;
    synchronized (entries) {
      others =
          entries.containsKey(key)
              ? List.of()
              : entries.values().stream()
                  .filter(entry -> !entry.leaving && key.isElsewise(entry.key))
                  .toList();
    }
    if (others.isEmpty()) {
      return key;
    }
    String now = digest.get();
    for (Entry other : others) {
      try {
        if (other.device.batcher().model().info().digest().equals(now)) {
          return other.key;
        }
      } catch (FlinkDiffusionException e) {
        LOG.debug("Model {} was not loaded or is corrupt, so it is not shared.", other.key, e);
      }
    }
    LOG.info(
        "The files of model {} have changed: {} now runs the model with digest {}, beside the one"
            + " that other tasks have loaded.",
        key.model,
        key.device,
        now);
    return key;
  }

  private Lease acquireAs(
      Key key, BatchSettings settings, Callable<DiffusionPipeline> opener, Patience patience)
      throws InterruptedException {
    Entry entry = enter(key, settings, opener, patience);
    try {
      Lease lease = new Lease(entry, entry.device.batcher());
      if (!entry.settings.equals(settings)) {
        LOG.warn(
            "Model {} on {} is shared and already runs with {}; these settings are ignored: {}.",
            key.model,
            key.device,
            entry.settings,
            settings);
      }
      return lease;
    } catch (InterruptedException | RuntimeException e) {
      exit(entry);
      throw e;
    }
  }

  private Entry enter(
      Key key, BatchSettings settings, Callable<DiffusionPipeline> opener, Patience patience)
      throws InterruptedException {
    long begin = System.nanoTime();
    while (true) {
      Entry leaving;
      synchronized (entries) {
        Entry entry = entries.get(key);
        if (entry == null) {
          entry = new Entry(key, settings, starter.start(key.device, settings, opener));
          entries.put(key, entry);
        }
        boolean broken = entry.shares > 0 && entry.device.isBroken();
        if (!entry.leaving && !broken) {
          entry.shares++;
          return entry;
        }
        leaving = entry;
      }
      leaving.device.close();
      awaitFreed(leaving, begin, patience);
      remove(leaving);
    }
  }

  private static void awaitFreed(Entry entry, long begin, Patience patience)
      throws InterruptedException {
    CompletableFuture<Void> freed = entry.device.freed();
    while (!freed.isDone()) {
      Duration waited = Duration.ofNanos(System.nanoTime() - begin);
      Duration left = patience.limit().minus(waited);
      if (left.isNegative() || left.isZero()) {
        throw new BatchingException(
            ("Model %s on %s is still loaded for tasks that have ended, after a wait of %s: the"
                    + " device has not finished their last call. Allow more time (%s), or"
                    + " restart the process.")
                .formatted(entry.key.model, entry.key.device, waited, patience.setting()));
      }
      LOG.info(
          "Waiting for model {} on {}: the device finishes the last call of tasks that have ended,"
              + " and then unloads the model. Waited {} of at most {} ({}).",
          entry.key.model,
          entry.key.device,
          waited,
          patience.limit(),
          patience.setting());
      try {
        freed.get(Math.min(left.toNanos(), BETWEEN_REPORTS.toNanos()), TimeUnit.NANOSECONDS);
      } catch (TimeoutException e) {
        // Says so again, or gives up.
      } catch (ExecutionException e) {
        throw new IllegalStateException("Freeing a model is never completed exceptionally.", e);
      }
    }
  }

  private void remove(Entry entry) {
    synchronized (entries) {
      entries.remove(entry.key, entry);
    }
  }

  private void exit(Entry entry) {
    synchronized (entries) {
      if (--entry.shares > 0) {
        return;
      }
      entry.leaving = true;
    }
    entry.device.close();
    if (!entry.device.freed().isDone()) {
      ClassesAhead.load();
    }
    entry.device.freed().thenRun(() -> remove(entry));
  }

  /** How many models are loaded or being loaded. */
  public int size() {
    synchronized (entries) {
      return entries.size();
    }
  }

  /** A model on a device. Shares and leaving are guarded by {@link #entries}. */
  private static final class Entry {
    final Key key;
    final BatchSettings settings;
    final Device device;
    int shares;
    boolean leaving;

    Entry(Key key, BatchSettings settings, Device device) {
      this.key = key;
      this.settings = settings;
      this.device = device;
    }
  }

  /** One caller's share of a batcher. */
  public final class Lease implements AutoCloseable {
    private final Entry entry;
    private final StepBatcher batcher;
    private boolean closed;

    private Lease(Entry entry, StepBatcher batcher) {
      this.entry = entry;
      this.batcher = batcher;
    }

    public StepBatcher batcher() {
      return batcher;
    }

    /**
     * After {@link #close}: completed when the model is freed, or at once where others share it.
     */
    CompletableFuture<Void> freed() {
      synchronized (entries) {
        return entry.leaving ? entry.device.freed() : CompletableFuture.completedFuture(null);
      }
    }

    /**
     * Releases the share, without waiting; the device frees the model after the last. Idempotent.
     */
    @Override
    public void close() {
      synchronized (this) {
        if (closed) {
          return;
        }
        closed = true;
      }
      exit(entry);
    }
  }
}
