/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ModelList;
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

  private final ModelList list;
  private final DiffusionSettings settings;

  /** Null, which is the process's own, except in tests that step a device by hand. */
  private final transient ProcessServices services;

  private DiffusionOperatorFactory(
      ModelList list, DiffusionSettings settings, ProcessServices services) {
    this.list = Objects.requireNonNull(list);
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

  final ModelList list() {
    return list;
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

    /** Name of the {@link ControlBoard}; null when there are no cancellations. */
    private final String cancellations;

    /** Name of the {@link ControlBoard}; null when there are no model events. */
    private final String models;

    /**
     * @param cancellations name of their {@link ControlBoard}; null when there are none
     * @param models name of the {@link ControlBoard} of model events; null when there are none
     */
    OfRequests(
        RequestKind<E> kind,
        ModelList list,
        DiffusionSettings settings,
        String cancellations,
        String models) {
      this(kind, list, settings, cancellations, models, null);
    }

    OfRequests(
        RequestKind<E> kind,
        ModelList list,
        DiffusionSettings settings,
        String cancellations,
        String models,
        ProcessServices services) {
      super(list, settings, services);
      this.kind = kind;
      this.cancellations = cancellations;
      this.models = models;
    }

    @Override
    public <T extends StreamOperator<ImageEvent>> T createStreamOperator(
        StreamOperatorParameters<ImageEvent> parameters) {
      return as(
          cancellations == null
              ? new RequestOperator<>(kind, parameters, list(), settings(), models, services())
              : new CancellableOperator<>(
                  kind, parameters, list(), settings(), models, services(), cancellations));
    }

    @Override
    @SuppressWarnings("rawtypes")
    public Class<? extends StreamOperator> getStreamOperatorClass(ClassLoader classLoader) {
      return cancellations == null ? RequestOperator.class : CancellableOperator.class;
    }
  }
}
