/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.connector.event.FailureMessages;
import io.github.flinkdiffusion.ops.failure.ConcernsOneRequest;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Signature;
import io.github.flinkdiffusion.ops.serving.GenerationService;
import java.io.Serializable;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.apache.flink.runtime.execution.SuppressRestartsException;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.functions.FunctionContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** From rows to rows with a model: what the synchronous and the asynchronous function share. */
final class Prediction implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final Logger LOG = LoggerFactory.getLogger(Prediction.class);

  /**
   * What a call of the model was planned with.
   *
   * @param concurrency rows that Flink gives a subtask at a time
   * @param samples of a row that does not say
   * @param timeout after which Flink fails the job; null without one
   */
  record Plan(
      InputColumns inputs,
      OutputColumns outputs,
      GenerationService.Settings settings,
      OnError onError,
      int concurrency,
      int samples,
      Duration timeout)
      implements Serializable {}

  private final Plan plan;
  private final Map<String, String> options;

  private transient Arguments defaults;
  private transient GenerationService service;

  /** Null without a limit. */
  private transient TimeLimit limit;

  /**
   * @param options the parameters that are set for all rows, as {@link ArgumentValues} reads them
   */
  Prediction(Plan plan, Map<String, String> options) {
    this.plan = plan;
    this.options = options;
  }

  void open(FunctionContext context) throws InterruptedException {
    defaults = ArgumentValues.of(options);
    int subtask = context.getTaskInfo().getIndexOfThisSubtask();
    service =
        GenerationService.open(
            plan.settings(), context::getExternalResourceInfos, subtask, "sql-" + subtask);
    requireAllThatTheModelNeeds();
    if (plan.timeout() != null) {
      limit = new TimeLimit(plan.timeout(), "'timeout'", Integer.toString(subtask));
    }
    if (subtask == 0 && plan.concurrency() * plan.samples() < service.rowLimit()) {
      LOG.warn(
          "Model {} takes up to {} rows in one network call, but Flink gives it {} at a time; set"
              + " 'max-concurrent-operations' to '{}' in the CONFIG map, or"
              + " table.exec.async-ml-predict.max-concurrent-operations.",
          service.model().info().name(),
          service.rowLimit(),
          plan.concurrency(),
          (2 * service.rowLimit() - 1) / plan.samples() + 1);
    }
  }

  private void requireAllThatTheModelNeeds() {
    for (Signature.Entry entry : service.model().signature().entries()) {
      Parameter<?> parameter = entry.parameter();
      if (entry.required() && !plan.inputs().has(parameter) && !defaults.has(parameter)) {
        service.close();
        // No restart brings the column.
        throw new SuppressRestartsException(
            new ValidationException(
                "Model %s needs %s, but its INPUT has no column %s; add the column, and name it in DESCRIPTOR."
                    .formatted(
                        service.model().info().name(),
                        parameter,
                        DiffusionModelOptions.column(parameter))));
      }
    }
  }

  /**
   * @return completed with one row or none; exceptionally only where the job is to fail
   */
  CompletableFuture<Collection<RowData>> predict(RowData row) {
    InputColumns.Values values = plan.inputs().read(row);
    CompletableFuture<Collection<RowData>> answer =
        service
            .use(values.model())
            .thenCompose(model -> answer(model, values))
            .<Collection<RowData>>thenApplyAsync(
                made -> List.of(plan.outputs().row(new OutputColumn.Result(made, service))),
                service.workers());
    return (limit == null ? answer : limit.guard(answer)).exceptionally(this::failed);
  }

  private CompletableFuture<Answer> answer(
      GenerationService.Served model, InputColumns.Values values) {
    return CompletableFuture.supplyAsync(
            () -> plan.inputs().spec(values, defaults, model::seen), service.workers())
        .thenCompose(
            spec ->
                Answer.of(
                    model,
                    spec,
                    InputColumns.samples(values, plan.samples()),
                    plan.inputs().digests(values)))
        .whenComplete((any, failure) -> model.close());
  }

  private Collection<RowData> failed(Throwable thrown) {
    Throwable cause = thrown;
    while (cause instanceof CompletionException && cause.getCause() != null) {
      cause = cause.getCause();
    }
    if (!(cause instanceof ConcernsOneRequest) || plan.onError() == OnError.FAIL) {
      throw OnError.failingTheJob(cause);
    }
    return plan.onError() == OnError.DROP
        ? List.of()
        : List.of(plan.outputs().error(FailureMessages.safe(cause.getMessage(), null)));
  }

  void close() {
    if (limit != null) {
      limit.close();
    }
    if (service != null) {
      service.close();
    }
  }
}
