/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.TextEvent;
import org.apache.flink.streaming.api.operators.Output;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

/** Puts results out, each where it belongs, and counts them; task thread. */
final class ResultOutput {
  private final Output<StreamRecord<ImageEvent>> output;
  private final DiffusionMetrics meters;
  private final boolean objectReuse;

  ResultOutput(
      Output<StreamRecord<ImageEvent>> output, DiffusionMetrics meters, boolean objectReuse) {
    this.output = output;
    this.meters = meters;
    this.objectReuse = objectReuse;
  }

  void emit(Signals signals) throws Exception {
    for (Object signal : signals.inOrder()) {
      if (signal instanceof Watermark watermark) {
        output.emitWatermark(watermark);
      } else {
        output.emitWatermarkStatus((WatermarkStatus) signal);
      }
    }
  }

  void emit(Request request) {
    Outcome outcome = request.outcome.join(); // complete, or it would not be ready
    if (outcome instanceof Outcome.Picture picture) {
      meters.pictures.inc();
      output.collect(
          request.record(
              mayBeChanged(request)
                  ? ImageEvent.newBuilder(picture.event()).build()
                  : picture.event()));
    } else if (outcome instanceof Outcome.Text text) {
      meters.texts.inc();
      output.collect(
          DiffusionOperator.TEXTS,
          request.record(
              mayBeChanged(request) ? TextEvent.newBuilder(text.event()).build() : text.event()));
    } else if (outcome instanceof Outcome.Failure failure) {
      meters.failed(failure.event().getReason());
      output.collect(
          DiffusionOperator.FAILURES,
          request.record(
              mayBeChanged(request)
                  ? FailureEvent.newBuilder(failure.event()).build()
                  : failure.event()));
    }
    meters.traced(request.span(outcome));
  }

  /**
   * A checkpoint may still be writing the event, and where objects are reused whoever comes next
   * may change it.
   */
  private boolean mayBeChanged(Request request) {
    return objectReuse && request.isSaved();
  }
}
