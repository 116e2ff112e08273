/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;

/** How a request ended, ready to be put out. */
sealed interface Outcome {
  record Picture(ImageEvent event) implements Outcome {}

  record Text(TextEvent event) implements Outcome {}

  record Failure(FailureEvent event) implements Outcome {}
}
