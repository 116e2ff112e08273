/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

/**
 * Its input is requests.
 *
 * @param <E> the requests' event
 */
class RequestOperator<E> extends DiffusionOperator
    implements OneInputStreamOperator<E, ImageEvent>, BoundedOneInput {
  private static final long serialVersionUID = 1L;

  private final RequestKind<E> kind;

  RequestOperator(
      RequestKind<E> kind,
      StreamOperatorParameters<ImageEvent> parameters,
      ModelList list,
      DiffusionSettings settings,
      String modelBoard,
      ProcessServices services) {
    super(parameters, list, settings, modelBoard, services);
    this.kind = kind;
  }

  @Override
  final boolean emitsTexts() {
    return kind.emitsTexts();
  }

  @Override
  public final void processElement(StreamRecord<E> element) throws Exception {
    take(kind, element);
  }

  @Override
  public final void processWatermark(Watermark mark) throws Exception {
    hold(mark);
  }

  @Override
  public final void processWatermarkStatus(WatermarkStatus status) throws Exception {
    hold(status);
  }

  @Override
  public final void endInput() throws Exception {
    drain();
  }
}
