/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/**
 * Who may hand the next part to the device: image tasks take turns, one part each, so a small image
 * does not wait for all tiles of a large one, and tiles of several images share network calls.
 *
 * <p>It bounds memory: so many parts are read or on the device at once, and another image is opened
 * only while those that are open take less than so many bytes (the last one may exceed it). Task
 * thread only.
 */
final class PartTurns {
  private final int places;
  private final long memoryBytes;
  private final Deque<ImageTaskRequest> unopened = new ArrayDeque<>();
  private final Deque<ImageTaskRequest> open = new ArrayDeque<>();

  /** Places that each tenant's parts have; those without any are not in it. */
  private final Map<String, Integer> placesOf = new HashMap<>();

  private int taken;
  private int opening;
  private long heldBytes;

  /**
   * A share of what is bounded here: the turn to be opened, a part's place, an open image's memory.
   */
  final class Permit implements AutoCloseable {
    private Runnable giveBack;

    private Permit(Runnable giveBack) {
      this.giveBack = giveBack;
    }

    /** Gives it back, so that others have their turn. Idempotent; task thread only. */
    @Override
    public void close() {
      if (giveBack != null) {
        giveBackAlone();
        give();
      }
    }

    private void giveBackAlone() {
      Runnable once = giveBack;
      giveBack = null;
      once.run();
    }
  }

  /**
   * @param places parts at once
   * @param memoryBytes of open images
   */
  PartTurns(int places, long memoryBytes) {
    this.places = places;
    this.memoryBytes = memoryBytes;
  }

  /** A request that is to be opened. */
  void add(ImageTaskRequest request) {
    unopened.add(request);
    give();
  }

  /** It could be opened, and takes so much memory until the permit is closed. */
  Permit opened(ImageTaskRequest request, long bytes) {
    heldBytes += bytes;
    open.add(request);
    give();
    return new Permit(() -> heldBytes -= bytes);
  }

  /** A request that had no part to hand over has one again. */
  void again(ImageTaskRequest request) {
    if (!open.contains(request)) {
      open.add(request);
    }
    give();
  }

  /** The first of those whose tenant has the fewest places for its weight. */
  private ImageTaskRequest next(Deque<ImageTaskRequest> queue) {
    ImageTaskRequest first =
        queue.stream()
            .min(
                Comparator.comparingDouble(
                    request ->
                        placesOf.getOrDefault(request.tenant().name(), 0)
                            / request.tenant().weight()))
            .orElseThrow();
    queue.remove(first);
    return first;
  }

  private void give() {
    // One at a time, since only then it is known what it takes.
    while (opening == 0 && heldBytes < memoryBytes && !unopened.isEmpty()) {
      ImageTaskRequest request = next(unopened);
      if (!request.outcome.isDone()) {
        opening++;
        request.open(new Permit(() -> opening--));
      }
    }
    while (taken < places && !open.isEmpty()) {
      ImageTaskRequest request = next(open);
      String tenant = request.tenant().name();
      taken++;
      placesOf.merge(tenant, 1, Integer::sum);
      Permit place =
          new Permit(
              () -> {
                taken--;
                placesOf.computeIfPresent(tenant, (name, many) -> many == 1 ? null : many - 1);
              });
      if (request.handOverNext(place)) {
        open.add(request);
      } else {
        place.giveBackAlone();
      }
    }
  }
}
