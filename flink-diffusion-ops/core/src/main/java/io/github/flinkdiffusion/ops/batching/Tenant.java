/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import java.util.Objects;
import org.apache.flink.annotation.Internal;

/**
 * On whose behalf a request is computed. Tenants that want more than there is get shares of a
 * device in proportion to their weights; see {@link FairShare}.
 *
 * @param name tells tenants apart, among all sessions of a device
 * @param weight above 0, finite
 */
@Internal
public record Tenant(String name, double weight) {
  /** Of requests that name none. */
  public static final Tenant DEFAULT = new Tenant("default", 1);

  public Tenant {
    Objects.requireNonNull(name, "name");
    if (!(weight > 0) || Double.isInfinite(weight)) {
      throw new IllegalArgumentException(
          "Invalid weight %s of tenant '%s'. Expected a finite number above 0."
              .formatted(weight, name));
    }
  }
}
