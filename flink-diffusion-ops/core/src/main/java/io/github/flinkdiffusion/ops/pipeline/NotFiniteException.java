/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.failure.ConcernsOneRequest;
import io.github.flinkdiffusion.ops.failure.FlinkDiffusionException;
import java.util.List;
import java.util.TreeSet;
import org.apache.flink.annotation.Internal;

/**
 * The network's output for some requests of a batch holds NaN or infinity, so these requests cannot
 * be finished. The rest of the batch is as it was before the call and can be tried again without
 * them.
 */
@Internal
public final class NotFiniteException extends FlinkDiffusionException
    implements ConcernsOneRequest {
  private static final long serialVersionUID = 1L;

  private final List<Integer> positions;

  /**
   * @param message one sentence: at which stage and step, e.g. "The UNet's output at step 3 of 20
   *     is not finite; half precision may overflow on this model, use float32."
   * @param positions indexes of the affected requests in the list that the failed call was given;
   *     at least one, sorted here, duplicates removed
   */
  public NotFiniteException(String message, List<Integer> positions) {
    super(message);
    if (positions.isEmpty()) {
      throw new IllegalArgumentException("At least one request of the batch must be named.");
    }
    this.positions = List.copyOf(new TreeSet<>(positions));
  }

  /** Indexes of the affected requests in the list that the failed call was given, ascending. */
  public List<Integer> positions() {
    return positions;
  }
}
