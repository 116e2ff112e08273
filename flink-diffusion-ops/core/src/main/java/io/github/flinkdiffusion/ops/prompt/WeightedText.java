/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.prompt;

import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * A part of a prompt and how much it counts.
 *
 * @param weight 1 for a part that counts as any other
 */
@Internal
public record WeightedText(String text, double weight) {
  public WeightedText {
    Objects.requireNonNull(text, "text");
  }
}
