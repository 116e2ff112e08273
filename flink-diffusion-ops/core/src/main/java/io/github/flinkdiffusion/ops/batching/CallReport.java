/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.time.Duration;
import org.apache.flink.annotation.Internal;

/**
 * One call to the device.
 *
 * @param stage what it did
 * @param requests how many requests shared it, of all sessions
 * @param rows rows of the network's batch; for all stages but steps equal to {@code requests}
 * @param outOfMemory true when it failed for memory, so that nothing was done
 * @param elapsed time on the device
 */
@Internal
public record CallReport(
    Stage stage, int requests, int rows, boolean outOfMemory, Duration elapsed) {

  /** The stages of a request. */
  public enum Stage {
    /** Texts are encoded and noise is drawn, or a saved trajectory is taken up. */
    ENCODE,
    /** One network call moves trajectories on by a step. */
    STEP,
    /** Latents become pictures. */
    DECODE,
    /** Small pictures are made of trajectories on their way. */
    PREVIEW
  }
}
