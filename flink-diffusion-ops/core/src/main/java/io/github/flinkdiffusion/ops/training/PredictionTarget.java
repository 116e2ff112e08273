/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import org.apache.flink.annotation.Internal;

/** What a denoising network predicts. */
@Internal
public enum PredictionTarget {
  /** The noise (Ho et al. 2020). */
  EPSILON("epsilon"),
  /** The clean sample. Makes the first of few steps the best guess there is. */
  SAMPLE("sample"),
  /** signal * noise - noise level * clean (Salimans and Ho 2022, appendix D). */
  V("v_prediction"),
  /** noise - clean, along straight lines (Lipman et al. 2023; Liu et al. 2023). */
  FLOW("flow_prediction");

  private final String predictionType;

  PredictionTarget(String predictionType) {
    this.predictionType = predictionType;
  }

  /** {@code prediction_type} in a scheduler's config. */
  public String predictionType() {
    return predictionType;
  }
}
