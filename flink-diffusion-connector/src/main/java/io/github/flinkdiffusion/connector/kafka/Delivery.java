/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.jspecify.annotations.NullMarked;

/** How often a sink writes an event, and when it becomes visible. */
@NullMarked
@PublicEvolving
public enum Delivery {
  /** Once, visible to readers of committed records when the next checkpoint is complete. */
  EXACTLY_ONCE("exactly-once", DeliveryGuarantee.EXACTLY_ONCE),
  /**
   * At once, and after a restart possibly again. Records that may be repetitions have the header
   * {@link EventHeaders#DUPLICATE}.
   */
  AT_LEAST_ONCE("at-least-once", DeliveryGuarantee.AT_LEAST_ONCE);

  private final String text;
  private final DeliveryGuarantee guarantee;

  Delivery(String text, DeliveryGuarantee guarantee) {
    this.text = text;
    this.guarantee = guarantee;
  }

  /** Flink's word for it. */
  DeliveryGuarantee guarantee() {
    return guarantee;
  }

  /** As Flink's configuration writes it. */
  @Override
  public String toString() {
    return text;
  }
}
