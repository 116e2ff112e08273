package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import java.util.Objects;
import org.apache.flink.streaming.api.operators.AbstractStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.ChainingStrategy;
import org.apache.flink.streaming.api.operators.OneInputStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;

/** Carries a {@link DiffusionOperator} in the job. */
final class DiffusionOperatorFactory extends AbstractStreamOperatorFactory<ImageEvent>
    implements OneInputStreamOperatorFactory<PromptEvent, ImageEvent> {
  private static final long serialVersionUID = 1L;

  private final PipelineFactory pipeline;
  private final DiffusionSettings settings;

  /** Null, which is the process's own, except in tests that step a device by hand. */
  private final transient ProcessServices services;

  DiffusionOperatorFactory(PipelineFactory pipeline, DiffusionSettings settings) {
    this(pipeline, settings, null);
  }

  DiffusionOperatorFactory(
      PipelineFactory pipeline, DiffusionSettings settings, ProcessServices services) {
    this.pipeline = Objects.requireNonNull(pipeline);
    this.settings = Objects.requireNonNull(settings);
    this.services = services;
    // It never blocks the task's thread but for back-pressure, so it may stand anywhere in a chain.
    setChainingStrategy(ChainingStrategy.ALWAYS);
  }

  @Override
  public <T extends StreamOperator<ImageEvent>> T createStreamOperator(
      StreamOperatorParameters<ImageEvent> parameters) {
    @SuppressWarnings("unchecked") // Flink asks for the class that getStreamOperatorClass returned
    T operator =
        (T)
            new DiffusionOperator(
                parameters,
                pipeline,
                settings,
                services == null ? ProcessServices.OF_PROCESS : services);
    return operator;
  }

  @Override
  @SuppressWarnings("rawtypes")
  public Class<? extends StreamOperator> getStreamOperatorClass(ClassLoader classLoader) {
    return DiffusionOperator.class;
  }
}
