/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.batching.Tenant;
import java.io.Serializable;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ReadableConfig;

/**
 * Whose request is whose, and what each tenant may have.
 *
 * @param attribute of a request that names its tenant
 * @param weights of tenants that have another one than 1
 * @param mostInFlight requests of one tenant in a subtask; null for no limit
 */
@Internal
public record TenantSettings(String attribute, Map<String, Double> weights, Integer mostInFlight)
    implements Serializable {
  private static final double MOST_WEIGHT = 1_000_000;

  public TenantSettings {
    weights = Map.copyOf(weights);
  }

  /**
   * @throws DiffusionException naming the option, its value and what would be accepted
   */
  static TenantSettings of(ReadableConfig config) {
    String attribute = config.get(DiffusionOptions.TENANTS_ATTRIBUTE);
    if (attribute.isBlank()) {
      throw DiffusionSettings.refused(
          DiffusionOptions.TENANTS_ATTRIBUTE,
          "'" + attribute + "'",
          "the name of a request's attribute");
    }
    Map<String, Double> weights = new TreeMap<>();
    config
        .get(DiffusionOptions.TENANTS_WEIGHTS)
        .forEach((tenant, text) -> weights.put(tenant, weight(tenant, text)));
    return new TenantSettings(
        attribute,
        weights,
        config.getOptional(DiffusionOptions.TENANTS_MAX_IN_FLIGHT).isPresent()
            ? (Integer) DiffusionSettings.atLeast(1, DiffusionOptions.TENANTS_MAX_IN_FLIGHT, config)
            : null);
  }

  private static double weight(String tenant, String text) {
    double weight;
    try {
      weight = Double.parseDouble(text.strip());
    } catch (NumberFormatException e) {
      weight = Double.NaN;
    }
    if (!(weight >= 1 / MOST_WEIGHT && weight <= MOST_WEIGHT)) {
      throw DiffusionSettings.refused(
          DiffusionOptions.TENANTS_WEIGHTS,
          "'" + text + "' of tenant '" + tenant + "'",
          "a number from 0.000001 to 1000000 for each tenant, such as acme:3,free:0.5");
    }
    return weight;
  }

  /** Whose request it is that has these attributes. */
  public Tenant of(Map<String, String> attributes) {
    String name = attributes.getOrDefault(attribute, "");
    return name.isBlank() ? named(Tenant.DEFAULT.name()) : named(name);
  }

  private Tenant named(String name) {
    return new Tenant(name, weights.getOrDefault(name, 1.0));
  }

  public OptionalInt quota() {
    return mostInFlight == null ? OptionalInt.empty() : OptionalInt.of(mostInFlight);
  }
}
