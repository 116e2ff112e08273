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
 * @param configsAlone components whose weights come from elsewhere
 */
@Internal
public record HubWants(
    Optional<String> variant, boolean weights, Set<String> without, Set<String> configsAlone) {
  /** All components with their plain weights. */
  public static final HubWants EVERYTHING = new HubWants(Optional.empty(), true, Set.of());

  /** Configs and vocabularies alone. */
  public static final HubWants CONFIGS = new HubWants(Optional.empty(), false, Set.of());

  public HubWants {
    Objects.requireNonNull(variant, "variant");
    without = Set.copyOf(without);
    configsAlone = Set.copyOf(configsAlone);
  }

  public HubWants(Optional<String> variant, boolean weights, Set<String> without) {
    this(variant, weights, without, Set.of());
  }

  /** The same without the weights of some components, whose configs are wanted. */
  public HubWants withConfigsAlone(Set<String> components) {
    return new HubWants(variant, weights, without, components);
  }
}
