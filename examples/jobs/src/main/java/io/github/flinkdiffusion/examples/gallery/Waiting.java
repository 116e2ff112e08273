/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

/**
 * A request without an answer.
 *
 * @param kind {@code prompt}, or the name of an image task
 * @param step network steps done
 * @param total network steps in all; 0 until the first progress event
 * @param preview the step that the preview shows; -1 without one
 * @param cancelling whether it was taken back from here
 */
record Waiting(
    String id,
    String kind,
    String prompt,
    int step,
    int total,
    int preview,
    boolean cancelling,
    long time) {

  Waiting at(int newStep, int newTotal, int newPreview) {
    return new Waiting(id, kind, prompt, newStep, newTotal, newPreview, cancelling, time);
  }

  Waiting beingCancelled() {
    return new Waiting(id, kind, prompt, step, total, preview, true, time);
  }
}
