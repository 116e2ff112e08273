/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.PipelineFactory;
import io.github.flinkdiffusion.ops.serving.ProcessServices;
import java.util.Objects;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.operators.coordination.OperatorCoordinator;
import org.apache.flink.streaming.api.operators.AbstractStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.ChainingStrategy;
import org.apache.flink.streaming.api.operators.CoordinatedOperatorFactory;
import org.apache.flink.streaming.api.operators.OneInputStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;

/** Carries a {@link DiffusionOperator} in the job. */
abstract class DiffusionOperatorFactory extends AbstractStreamOperatorFactory<ImageEvent>
    implements CoordinatedOperatorFactory<ImageEvent> {
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

  @Override
  public final OperatorCoordinator.Provider getCoordinatorProvider(String name, OperatorID id) {
    return new DiffusionCoordinator.Provider(
        id, new Suspects.Limits(settings.requestAttempts(), settings.requestProcessDeaths()));
  }

  final PipelineFactory pipeline() {
    return pipeline;
  }

  final DiffusionSettings settings() {
    return settings;
  }

  final ProcessServices services() {
    return services == null ? ProcessServices.OF_PROCESS : services;
  }

  /** The operator as what Flink takes it for. */
  @SuppressWarnings("unchecked") // Flink asks for the class that getStreamOperatorClass returned
  static <T extends StreamOperator<ImageEvent>> T as(DiffusionOperator operator) {
    return (T) operator;
  }

  /**
   * Requests in.
   *
   * @param <E> the requests' event
   */
  static final class OfRequests<E> extends DiffusionOperatorFactory
      implements OneInputStreamOperatorFactory<E, ImageEvent> {
    private static final long serialVersionUID = 1L;

    private final RequestKind<E> kind;

    /** Name of the {@link CancellationBoard}; null when there are no cancellations. */
    private final String board;

    OfRequests(
        RequestKind<E> kind, PipelineFactory pipeline, DiffusionSettings settings, String board) {
      this(kind, pipeline, settings, board, null);
    }

    OfRequests(
        RequestKind<E> kind,
        PipelineFactory pipeline,
        DiffusionSettings settings,
        String board,
        ProcessServices services) {
      super(pipeline, settings, services);
      this.kind = kind;
      this.board = board;
    }

    @Override
    public <T extends StreamOperator<ImageEvent>> T createStreamOperator(
        StreamOperatorParameters<ImageEvent> parameters) {
      return as(
          board == null
              ? new RequestOperator<>(kind, parameters, pipeline(), settings(), services())
              : new CancellableOperator<>(
                  kind, parameters, pipeline(), settings(), services(), board));
    }

    @Override
    @SuppressWarnings("rawtypes")
    public Class<? extends StreamOperator> getStreamOperatorClass(ClassLoader classLoader) {
      return board == null ? RequestOperator.class : CancellableOperator.class;
    }
  }
}
