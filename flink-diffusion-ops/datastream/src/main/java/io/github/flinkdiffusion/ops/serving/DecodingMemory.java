/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.image.DecodedSize;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.annotation.Internal;

/**
 * The share of a process's heap that images may take which come from outside: reserved before an
 * image is decoded, from what its header says, by all subtasks of the process together. Whoever
 * finds it full waits in line, so a large image is not passed over for ever.
 *
 * <p>A reservation never asks for another one while it is held; hence nobody waits for each other.
 *
 * <p>Any thread may call.
 */
@Internal
public final class DecodingMemory {
  private final long capacity;
  private final Deque<Reservation> waiting = new ArrayDeque<>();
  private long taken;

  public DecodingMemory(long capacityBytes) {
    this.capacity = capacityBytes;
  }

  /** Half of the heap: state, records and results need the rest. */
  public static DecodingMemory ofHeap() {
    return new DecodingMemory(Runtime.getRuntime().maxMemory() / 2);
  }

  public long capacity() {
    return capacity;
  }

  /** Memory that is asked for, and held from the moment that it is granted until it is closed. */
  public final class Reservation implements AutoCloseable {
    private final long bytes;
    private final CompletableFuture<Void> granted = new CompletableFuture<>();
    private boolean held;
    private boolean closed;

    private Reservation(long bytes) {
      this.bytes = bytes;
    }

    /** Completed when it is held: by the caller of {@link #reserve} or by who closes another. */
    public CompletableFuture<Void> granted() {
      return granted;
    }

    /** Gives the memory back, or gives up waiting for it. Idempotent. */
    @Override
    public void close() {
      synchronized (DecodingMemory.this) {
        if (closed) {
          return;
        }
        closed = true;
        waiting.remove(this);
        taken -= held ? bytes : 0;
      }
      grantNext();
    }
  }

  /**
   * Gets in line for memory.
   *
   * @param bytes at most {@link #capacity}
   */
  public Reservation reserve(long bytes) {
    if (bytes > capacity) {
      throw new IllegalArgumentException(bytes + " of " + capacity + " bytes can never be held");
    }
    Reservation reservation = new Reservation(bytes);
    synchronized (this) {
      waiting.add(reservation);
    }
    grantNext();
    return reservation;
  }

  private void grantNext() {
    List<Reservation> ready = new ArrayList<>();
    synchronized (this) {
      while (!waiting.isEmpty() && waiting.peek().bytes <= capacity - taken) {
        Reservation next = waiting.poll();
        next.held = true;
        taken += next.bytes;
        ready.add(next);
      }
    }
    ready.forEach(next -> next.granted.complete(null));
  }

  /**
   * Reads an image file that is in memory, when there is memory for what it holds. Waits for that,
   * so it is not for a task's thread that others depend on.
   *
   * @throws ImageException as {@link Images#read} does, and for an image that could never fit
   */
  public Raster read(byte[] file, ReadOptions options) {
    try (Reservation reservation = reserve(bytes(file, options))) {
      reservation.granted().join();
      return Images.read(file, options);
    }
  }

  /**
   * The same without waiting, for a task's thread: who holds the memory may need that thread to
   * give it back. The image counts at once, so that others wait for it; for as long as it is read,
   * more than {@link #capacity} may be taken, by one image for each such thread.
   *
   * @throws ImageException as {@link #read}
   */
  public Raster readAtOnce(byte[] file, ReadOptions options) {
    long bytes = bytes(file, options);
    synchronized (this) {
      taken += bytes;
    }
    try {
      return Images.read(file, options);
    } finally {
      synchronized (this) {
        taken -= bytes;
      }
      grantNext();
    }
  }

  private long bytes(byte[] file, ReadOptions options) {
    byte[] head = Arrays.copyOf(file, Math.min(file.length, DecodedSize.HEAD_BYTES));
    DecodedSize size = DecodedSize.of(head, file.length, options.limits());
    long bytes = size.peakBytes();
    if (bytes > capacity) {
      throw new ImageException(
          "Reading the image (%s) takes %d bytes of heap; at most %d, half of the heap, are available. Send a smaller image, or raise taskmanager.memory.task.heap.size."
              .formatted(size.extent(), bytes, capacity));
    }
    return bytes;
  }
}
