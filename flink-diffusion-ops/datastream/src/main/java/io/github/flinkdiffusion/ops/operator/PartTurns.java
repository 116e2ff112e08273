package io.github.flinkdiffusion.ops.operator;

import java.util.ArrayDeque;
import java.util.Deque;

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

  private int taken;
  private int opening;
  private long heldBytes;

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

  /** It could be opened and takes so much memory from now on. */
  void opened(ImageTaskRequest request, long bytes) {
    opening--;
    heldBytes += bytes;
    open.add(request);
    give();
  }

  /** It could not be opened. */
  void openingFailed() {
    opening--;
    give();
  }

  /** A part is back from the device, or waits for its file. */
  void placeFreed() {
    taken--;
    give();
  }

  /** A request that had no part to hand over has one again. */
  void again(ImageTaskRequest request) {
    if (!open.contains(request)) {
      open.add(request);
    }
    give();
  }

  /** A request that was opened has ended. */
  void closed(int placesHeld, long bytes) {
    taken -= placesHeld;
    heldBytes -= bytes;
    give();
  }

  private void give() {
    // One at a time, since only then it is known what it takes.
    while (opening == 0 && heldBytes < memoryBytes && !unopened.isEmpty()) {
      ImageTaskRequest request = unopened.poll();
      if (!request.outcome.isDone()) {
        opening++;
        request.open();
      }
    }
    while (taken < places && !open.isEmpty()) {
      ImageTaskRequest request = open.poll();
      if (request.handOverNext()) {
        taken++;
        open.add(request);
      }
    }
  }
}
