package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import org.apache.flink.streaming.api.operators.BoundedOneInput;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;

/** Its input is requests. */
final class PromptOperator extends DiffusionOperator
    implements OneInputStreamOperator<PromptEvent, ImageEvent>, BoundedOneInput {
  private static final long serialVersionUID = 1L;

  PromptOperator(
      StreamOperatorParameters<ImageEvent> parameters,
      PipelineFactory pipeline,
      DiffusionSettings settings,
      ProcessServices services) {
    super(parameters, pipeline, settings, services);
  }

  @Override
  public void processElement(StreamRecord<PromptEvent> element) throws Exception {
    take(element);
  }

  @Override
  public void processWatermark(Watermark mark) throws Exception {
    hold(mark);
  }

  @Override
  public void processWatermarkStatus(WatermarkStatus status) throws Exception {
    hold(status);
  }

  @Override
  public void endInput() throws Exception {
    drain();
  }
}
