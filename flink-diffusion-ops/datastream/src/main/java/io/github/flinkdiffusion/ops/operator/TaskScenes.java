/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.imaging.Scene;
import java.util.function.IntFunction;

/**
 * An image of a request, open; or the slices of a volume, of which the first one and the last one
 * that was asked for are open. Any thread may ask.
 */
final class TaskScenes implements AutoCloseable {
  private final int slices;
  private final IntFunction<Scene> opener;
  private final Runnable atEnd;
  private final Scene first;
  private int lastSlice;
  private Scene last;

  /**
   * @param opener opens a slice, whose scene holds it in memory if there are several
   * @param atEnd run when this is closed
   */
  TaskScenes(int slices, IntFunction<Scene> opener, Runnable atEnd) {
    this.slices = slices;
    this.opener = opener;
    this.atEnd = atEnd;
    this.first = opener.apply(0);
    this.last = first;
  }

  int slices() {
    return slices;
  }

  /** The image, or the first slice. */
  Scene first() {
    return first;
  }

  /**
   * A slice.
   *
   * @throws ImageException if it cannot be read, or is of another size or type than the first one
   */
  synchronized Scene slice(int number) {
    if (number == 0) {
      return first;
    }
    if (number != lastSlice) {
      Scene next = opener.apply(number);
      requireLikeFirst(next, number);
      last = next;
      lastSlice = number;
    }
    return last;
  }

  private void requireLikeFirst(Scene next, int number) {
    if (next.width() != first.width()
        || next.height() != first.height()
        || next.format().bands() != first.format().bands()
        || next.format().type() != first.format().type()) {
      throw new ImageException(
          ("Slice %d of the request's image is %s, but slice 0 is %s; slices of one request must be"
                  + " alike. Send a request for each.")
              .formatted(number, inWords(next), inWords(first)));
    }
  }

  private static String inWords(Scene scene) {
    return "%d x %d pixels of %s, %s"
        .formatted(scene.width(), scene.height(), scene.format().bands(), scene.format().type());
  }

  /** Heap that is taken as long as it is open. */
  long heapBytes() {
    return first.heapBytes() * Math.min(slices, 2);
  }

  @Override
  public void close() {
    first.close();
    atEnd.run();
  }
}
