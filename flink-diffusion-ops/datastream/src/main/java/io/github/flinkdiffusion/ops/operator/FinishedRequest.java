/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;

/** One that was restored with its result. */
final class FinishedRequest extends Request {
  private final Outcome how;

  FinishedRequest(RequestHost host, InFlight.Finished restored) {
    super(host, null, restored.timestamp(), 0);
    this.how = restored.outcome();
  }

  @Override
  void begin() {
    end(how);
  }

  @Override
  void beginOnModel() {
    throw new IllegalStateException("It needs no model.");
  }

  @Override
  void cancel(CancelEvent why) {}

  @Override
  InFlight underWay() {
    return new InFlight.Finished(timestamp, how);
  }
}
