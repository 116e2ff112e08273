/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.apache.flink.annotation.Internal;

/**
 * What is wanted of a model.
 *
 * @param variant of the weights to prefer, such as {@code fp16}
 * @param weights whether weights are wanted, besides configs and vocabularies
 * @param without components that nobody will use, such as {@code safety_checker}
 */
@Internal
public record HubWants(Optional<String> variant, boolean weights, Set<String> without) {
  /** All components with their plain weights. */
  public static final HubWants EVERYTHING = new HubWants(Optional.empty(), true, Set.of());

  /** Configs and vocabularies alone. */
  public static final HubWants CONFIGS = new HubWants(Optional.empty(), false, Set.of());

  public HubWants {
    Objects.requireNonNull(variant, "variant");
    without = Set.copyOf(without);
  }
}
