/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.batching;

import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Parameters;

/** What a request's sender reads: what happened, where the request was, and what would help. */
final class FailureTexts {
  private FailureTexts() {}

  static String tooLarge(Ticket ticket, DeviceMemoryException e) {
    GenerationRequest request = ticket.request();
    Arguments arguments = request.arguments();
    if (!arguments.has(Parameters.WIDTH) || !arguments.has(Parameters.HEIGHT)) {
      return "Request %s does not fit into the device's memory, even alone: %s"
          .formatted(request.id(), e.getMessage());
    }
    return ("Request %s (%d x %d pixels) does not fit into the device's memory, even alone."
            + " Request a smaller image, or run the model in half precision: %s")
        .formatted(request.id(), request.width(), request.height(), e.getMessage());
  }

  static String tooLate(Ticket ticket, Ticket.TimeLimit limit) {
    String where =
        ticket.trajectory() == null
            ? "it was still waiting"
            : "it was at step %d of %d"
                .formatted(ticket.trajectory().step(), ticket.trajectory().totalSteps());
    return switch (limit) {
      case TIMEOUT ->
          ("Request %s was not finished within its limit of %d ms: %s. Raise the limit, or send"
                  + " fewer requests at a time.")
              .formatted(
                  ticket.request().id(), ticket.how.timeout().orElseThrow().toMillis(), where);
      case DEADLINE ->
          ("Request %s was not finished by its deadline, %d ms after it was admitted: %s. Set a"
                  + " later deadline, or none.")
              .formatted(
                  ticket.request().id(), ticket.how.deadline().orElseThrow().toMillis(), where);
    };
  }
}
