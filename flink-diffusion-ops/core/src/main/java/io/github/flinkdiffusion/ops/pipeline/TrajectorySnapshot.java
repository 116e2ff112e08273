/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Arrays;
import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * A trajectory at rest between two steps; what a checkpoint holds.
 *
 * <p>Two snapshots are equal when all their numbers are bit-equal. The arrays are not copied:
 * nobody writes to them any more.
 *
 * @param request what is being made
 * @param basis what decided the steps so far besides the request
 * @param step network steps done
 * @param sample the noisy latent x, channels x height x width in C order
 * @param history what earlier steps left for multistep solvers, newest first, each as long as
 *     {@code sample} or null where there is none yet; then what later steps continue instead of
 *     computing it ({@link Parameters#TAYLOR_ORDER}), each as long as what the network gives for
 *     the request; may be empty
 * @param generator state of the request's noise, torch's generator, or the number of draws from a
 *     field for a part of a larger picture
 */
@Internal
public record TrajectorySnapshot(
    GenerationRequest request,
    Basis basis,
    int step,
    float[] sample,
    float[][] history,
    byte[] generator) {
  public TrajectorySnapshot {
    Objects.requireNonNull(request, "request");
    Objects.requireNonNull(basis, "basis");
    Objects.requireNonNull(sample, "sample");
    Objects.requireNonNull(history, "history");
    Objects.requireNonNull(generator, "generator");
    if (step < 0) {
      throw new IllegalArgumentException(
          "Request " + request.id() + " cannot be at step " + step + "; steps count from 0.");
    }
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TrajectorySnapshot that
        && request.equals(that.request)
        && basis.equals(that.basis)
        && step == that.step
        && Arrays.equals(sample, that.sample)
        && Arrays.deepEquals(history, that.history)
        && Arrays.equals(generator, that.generator);
  }

  @Override
  public int hashCode() {
    return Objects.hash(request, basis, step, Arrays.hashCode(sample));
  }

  @Override
  public String toString() {
    return "TrajectorySnapshot[" + request + ", step " + step + ", " + sample.length + " values]";
  }
}
