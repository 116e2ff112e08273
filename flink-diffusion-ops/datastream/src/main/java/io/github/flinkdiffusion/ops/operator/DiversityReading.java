/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import org.apache.flink.annotation.Experimental;
import org.jspecify.annotations.NullMarked;

/**
 * How different the images of one window were; {@link DiversityWatch} emits one for each.
 *
 * @param model name of the model folder
 * @param modelDigest SHA-256 over its weights and configs
 * @param prompt of all images; empty where a window holds those of all prompts
 * @param images of the window, all of different seeds or prompts
 * @param vendi the Vendi score of their thumbnails: how many different images there are in effect;
 *     from 1 to their number
 * @param distance mean difference of two thumbnails, root of the mean square over pixels, 0 to 1
 * @param limit the least Vendi score that is no alarm
 * @param firstId id of the first request of the window
 * @param lastId id of the last one
 */
@NullMarked
@Experimental
public record DiversityReading(
    String model,
    String modelDigest,
    String prompt,
    int images,
    double vendi,
    double distance,
    double limit,
    String firstId,
    String lastId) {

  /** Whether the seeds no longer matter, as far as the limit says. */
  public boolean isCollapsed() {
    return vendi < limit;
  }
}
