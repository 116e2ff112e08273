/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import org.apache.flink.traces.Span;
import org.apache.flink.traces.SpanBuilder;

/**
 * One request as a span for Flink's trace reporters: from when the operator accepted it, or went on
 * with it after a restart, to its result. Says nothing of the prompt.
 */
final class RequestSpan {
  static final String NAME = "Request";
  static final String ID = "request.id";

  /** {@code image}, {@code text}, or the reason of the failure. */
  static final String OUTCOME = "outcome";

  private RequestSpan() {}

  static SpanBuilder of(Outcome outcome, long acceptedMillis, long emittedMillis) {
    SpanBuilder span =
        Span.builder(RequestSpan.class, NAME)
            .setStartTsMillis(acceptedMillis)
            .setEndTsMillis(emittedMillis);
    if (outcome instanceof Outcome.Failure failure) {
      return span.setAttribute(ID, String.valueOf(failure.event().getId()))
          .setAttribute(OUTCOME, failure.event().getReason().name());
    }
    if (outcome instanceof Outcome.Text text) {
      return span.setAttribute(ID, String.valueOf(text.event().getId()))
          .setAttribute(OUTCOME, "text");
    }
    return span.setAttribute(ID, String.valueOf(((Outcome.Picture) outcome).event().getId()))
        .setAttribute(OUTCOME, "image");
  }
}
