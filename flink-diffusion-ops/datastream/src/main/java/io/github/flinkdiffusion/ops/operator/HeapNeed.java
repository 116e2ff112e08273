/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import java.util.Optional;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.runtime.execution.SuppressRestartsException;

/** What requests in flight take of the heap at least; docs/OPERATE.md has the whole account. */
final class HeapNeed {
  private HeapNeed() {}

  /**
   * Checks that so many trajectories of the default size and settings fit into the heap, before any
   * of them is accepted. A model whose requests need an image says nothing: their number is bounded
   * by bytes ({@link ImageTaskOptions#MEMORY}).
   *
   * @param example a request that leaves size and settings open
   * @param heapBytes of the process
   * @throws SuppressRestartsException another attempt would find the same; its cause is a {@link
   *     DiffusionException} with what they take, and how many would fit
   */
  static void requireFits(
      StepBatcher batcher, int capacity, GenerationSpec example, long heapBytes) {
    problem(batcher, capacity, example, heapBytes)
        .ifPresent(
            sentence -> {
              throw new SuppressRestartsException(new DiffusionException(sentence));
            });
  }

  /** As {@link #requireFits}; empty if they fit. */
  static Optional<String> problem(
      StepBatcher batcher, int capacity, GenerationSpec example, long heapBytes) {
    GenerationRequest request;
    try {
      request = batcher.model().prepare(example);
    } catch (InvalidRequestException e) {
      return Optional.empty();
    }
    long each = batcher.model().trajectoryBytes(request);
    if (each == 0 || capacity <= heapBytes / each) {
      return Optional.empty();
    }
    return Optional.of(
        ("Option %s is %d. That many requests of %d x %d pixels with %s take %s of heap (%s each),"
                + " but this process has %s. Set the option to %d or less, or %s higher.")
            .formatted(
                DiffusionOptions.CAPACITY.key(),
                capacity,
                request.width(),
                request.height(),
                request.scheduler(),
                inWords(each * (double) capacity),
                inWords(each),
                inWords(heapBytes),
                Math.max(1, heapBytes / each / 2),
                TaskManagerOptions.TASK_HEAP_MEMORY.key()));
  }

  private static String inWords(double bytes) {
    return new MemorySize((long) Math.min(bytes, Long.MAX_VALUE)).toHumanReadableString();
  }
}
