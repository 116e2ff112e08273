package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import java.util.Objects;
import org.apache.flink.streaming.api.operators.AbstractStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.ChainingStrategy;
import org.apache.flink.streaming.api.operators.OneInputStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.operators.TwoInputStreamOperatorFactory;

/** Carries a {@link DiffusionOperator} in the job. */
abstract class DiffusionOperatorFactory extends AbstractStreamOperatorFactory<ImageEvent> {
  private static final long serialVersionUID = 1L;

  private final PipelineFactory pipeline;
  private final DiffusionSettings settings;

  /** Null, which is the process's own, except in tests that step a device by hand. */
  private final transient ProcessServices services;

  private DiffusionOperatorFactory(
      PipelineFactory pipeline, DiffusionSettings settings, ProcessServices services) {
    this.pipeline = Objects.requireNonNull(pipeline);
    this.settings = Objects.requireNonNull(settings);
    this.services = services;
    // It never blocks the task's thread but for back-pressure, so it may stand anywhere in a chain.
    setChainingStrategy(ChainingStrategy.ALWAYS);
  }

  /** Makes an operator of the factory's kind. */
  private interface Maker {
    DiffusionOperator make(
        StreamOperatorParameters<ImageEvent> parameters,
        PipelineFactory pipeline,
        DiffusionSettings settings,
        ProcessServices services);
  }

  final <T extends StreamOperator<ImageEvent>> T make(
      Maker maker, StreamOperatorParameters<ImageEvent> parameters) {
    @SuppressWarnings("unchecked") // Flink asks for the class that getStreamOperatorClass returned
    T operator =
        (T)
            maker.make(
                parameters,
                pipeline,
                settings,
                services == null ? ProcessServices.OF_PROCESS : services);
    return operator;
  }

  /** Requests in. */
  static final class OfPrompts extends DiffusionOperatorFactory
      implements OneInputStreamOperatorFactory<PromptEvent, ImageEvent> {
    private static final long serialVersionUID = 1L;

    OfPrompts(PipelineFactory pipeline, DiffusionSettings settings) {
      this(pipeline, settings, null);
    }

    OfPrompts(PipelineFactory pipeline, DiffusionSettings settings, ProcessServices services) {
      super(pipeline, settings, services);
    }

    @Override
    public <T extends StreamOperator<ImageEvent>> T createStreamOperator(
        StreamOperatorParameters<ImageEvent> parameters) {
      return make(PromptOperator::new, parameters);
    }

    @Override
    @SuppressWarnings("rawtypes")
    public Class<? extends StreamOperator> getStreamOperatorClass(ClassLoader classLoader) {
      return PromptOperator.class;
    }
  }

  /** Requests in, and cancellations of them. */
  static final class OfPromptsAndCancellations extends DiffusionOperatorFactory
      implements TwoInputStreamOperatorFactory<PromptEvent, CancelEvent, ImageEvent> {
    private static final long serialVersionUID = 1L;

    OfPromptsAndCancellations(PipelineFactory pipeline, DiffusionSettings settings) {
      this(pipeline, settings, null);
    }

    OfPromptsAndCancellations(
        PipelineFactory pipeline, DiffusionSettings settings, ProcessServices services) {
      super(pipeline, settings, services);
    }

    @Override
    public <T extends StreamOperator<ImageEvent>> T createStreamOperator(
        StreamOperatorParameters<ImageEvent> parameters) {
      return make(CancellableOperator::new, parameters);
    }

    @Override
    @SuppressWarnings("rawtypes")
    public Class<? extends StreamOperator> getStreamOperatorClass(ClassLoader classLoader) {
      return CancellableOperator.class;
    }
  }
}
