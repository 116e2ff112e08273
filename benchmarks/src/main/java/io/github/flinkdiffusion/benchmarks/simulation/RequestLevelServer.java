/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.simulation;

import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Batches of whole requests, as general batching services make them: as soon as there are enough,
 * or the oldest has waited for the longest delay. A batch is of one size of image, as a call has to
 * be; it runs to its end and is answered as one.
 */
public final class RequestLevelServer implements Server {

  /** What becomes of requests of different step counts in a batch. */
  public enum Mixing {
    /**
     * A call of the pipeline for each step count, one after another: all that a pipeline of
     * diffusers can do, which takes one count a call.
     */
    CALL_PER_STEP_COUNT,
    /**
     * They share network calls, and one that has had its steps leaves the calls to the others: more
     * than diffusers can do, so that what is compared is the batching alone.
     */
    SHARED_CALLS
  }

  private record Waiting(Arrival arrival, Consumer<Arrival> done, long sinceNanos) {}

  private final DiffusionPipeline pipeline;
  private final Function<Arrival, GenerationRequest> requests;
  private final int batchSize;
  private final long delayNanos;
  private final Mixing mixing;
  private final Clock clock;

  /** By size, each with the oldest first. */
  private final Map<Integer, Deque<Waiting>> queues = new TreeMap<>();

  /**
   * @param pipeline stays the caller's
   * @param requests what an arrival asks of it
   * @param batchSize most requests of a batch
   * @param delay how long a request waits for others at most, while the device is free
   */
  public RequestLevelServer(
      DiffusionPipeline pipeline,
      Function<Arrival, GenerationRequest> requests,
      int batchSize,
      Duration delay,
      Mixing mixing,
      Clock clock) {
    this.pipeline = pipeline;
    this.requests = requests;
    this.batchSize = batchSize;
    this.delayNanos = delay.toNanos();
    this.mixing = mixing;
    this.clock = clock;
  }

  @Override
  public void submit(Arrival arrival, Consumer<Arrival> done) {
    // It has waited since it came, not since the batch before it was done.
    queues
        .computeIfAbsent(arrival.size(), size -> new ArrayDeque<>())
        .add(new Waiting(arrival, done, arrival.atNanos()));
  }

  @Override
  public boolean runOnce() {
    long now = clock.nanos();
    Optional<Deque<Waiting>> ready =
        queues.values().stream()
            .filter(each -> !each.isEmpty())
            .filter(each -> each.size() >= batchSize || now >= wakesAt(each))
            .min(Comparator.comparingInt(each -> each.element().arrival().number()));
    if (ready.isEmpty()) {
      return false;
    }
    Deque<Waiting> queue = ready.get();
    List<Waiting> batch = new ArrayList<>();
    while (batch.size() < batchSize && !queue.isEmpty()) {
      batch.add(queue.poll());
    }
    groups(batch).forEach(this::run);
    batch.forEach(each -> each.done().accept(each.arrival()));
    return true;
  }

  private Collection<List<Waiting>> groups(List<Waiting> batch) {
    if (mixing == Mixing.SHARED_CALLS) {
      return List.of(batch);
    }
    TreeMap<Integer, List<Waiting>> groups = new TreeMap<>();
    for (Waiting each : batch) {
      groups.computeIfAbsent(each.arrival().steps(), steps -> new ArrayList<>()).add(each);
    }
    return groups.values();
  }

  private void run(List<Waiting> group) {
    List<Trajectory> all =
        pipeline.start(group.stream().map(each -> requests.apply(each.arrival())).toList());
    List<Trajectory> running = all;
    while (!running.isEmpty()) {
      pipeline.step(running);
      running = running.stream().filter(each -> !each.done()).toList();
    }
    // As the step-level batcher does: a decoder holds pictures at full size.
    int decoded = Math.max(1, batchSize / 2);
    for (int from = 0; from < all.size(); from += decoded) {
      pipeline.finish(all.subList(from, Math.min(all.size(), from + decoded)));
    }
  }

  @Override
  public OptionalLong wakesAt() {
    return queues.values().stream()
        .filter(queue -> !queue.isEmpty())
        .mapToLong(this::wakesAt)
        .min();
  }

  private long wakesAt(Deque<Waiting> queue) {
    return queue.element().sinceNanos() + delayNanos;
  }

  @Override
  public void close() {
    queues.clear();
  }
}
