/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.ops.batching.Tenant;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.TenantSettings;
import java.util.Optional;

/** How many requests of one tenant may be in flight in a subtask; task thread. */
final class TenantQuota {
  private final TenantSettings settings;
  private final EmissionQueue<Request> queue;

  /**
   * @param queue what is in flight
   */
  TenantQuota(TenantSettings settings, EmissionQueue<Request> queue) {
    this.settings = settings;
    this.queue = queue;
  }

  /**
   * @param request one that has just come and is not in the queue yet
   * @return why it is refused, if it is one too many of its tenant
   */
  Optional<String> exceededBy(Request request) {
    if (settings.quota().isEmpty()) {
      return Optional.empty();
    }
    long ofTenant = inFlight(request.tenant());
    return ofTenant > 0 && ofTenant >= settings.quota().orElseThrow()
        ? Optional.of(
            "Request %s was refused, because tenant '%s' has %d requests in flight in this subtask (%s). Send it again when some of them are finished."
                .formatted(
                    request.event.id(),
                    request.tenant().name(),
                    ofTenant,
                    DiffusionOptions.TENANTS_MAX_IN_FLIGHT.key()))
        : Optional.empty();
  }

  private long inFlight(Tenant tenant) {
    long many = 0;
    for (Request request : queue.requests()) {
      if (!request.outcome.isDone() && request.tenant().name().equals(tenant.name())) {
        many++;
      }
    }
    return many;
  }
}
