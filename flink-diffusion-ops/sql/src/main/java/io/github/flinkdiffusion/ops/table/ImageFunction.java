/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.failure.ConcernsOneRequest;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.ModelBands;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.serving.GenerationService;
import io.github.flinkdiffusion.ops.serving.ModelList;
import io.github.flinkdiffusion.ops.weights.Sha256;
import java.time.Duration;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.functions.AsyncScalarFunction;
import org.apache.flink.table.functions.FunctionContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A function whose value is made of pictures that a model makes: one, or the samples of an
 * ensemble, whose seeds follow each other. Calls of one subtask, of others and of operators in the
 * process share network calls.
 *
 * <p>A call is named by the {@link Arguments#digest digest of its arguments}, from which it gets
 * its seed if it brings none, as a row of {@code ML_PREDICT} without an id does: equal arguments
 * give equal images.
 *
 * @param <T> the value; a row in Flink's internal form, because Flink 2.3 fails when an
 *     asynchronous function gives NULL for a row in another
 */
abstract class ImageFunction<T> extends AsyncScalarFunction {
  private static final long serialVersionUID = 1L;
  private static final Logger LOG = LoggerFactory.getLogger(ImageFunction.class);

  private final String name;
  private final GenerationService.Settings settings;
  private final Map<String, String> options;
  private final boolean failing;
  private final Duration timeout;

  private transient Arguments defaults;
  private transient GenerationService service;
  private transient TimeLimit limit;

  /**
   * @param name as in SQL
   */
  ImageFunction(String name, FunctionSettings settings) {
    this.name = name;
    this.settings = settings.service();
    this.options = settings.options();
    this.failing = settings.failing();
    this.timeout = settings.timeout();
  }

  @Override
  public void open(FunctionContext context) throws Exception {
    defaults = ArgumentValues.of(options);
    int subtask = context.getTaskInfo().getIndexOfThisSubtask();
    String user = "sql-" + name.toLowerCase(Locale.ROOT) + "-" + subtask;
    service = GenerationService.open(settings, context::getExternalResourceInfos, subtask, user);
    limit = new TimeLimit(timeout, FunctionSettings.TIMEOUT.key(), user);
  }

  /** Flink would call it while it plans, and takes NULL for what is not there at once. */
  @Override
  public boolean supportsConstantFolding() {
    return false;
  }

  /** What a model's answer is in SQL; called on the function's own threads. */
  abstract T value(GenerationService service, Answer answer);

  /** As below, without further images. */
  final void generate(
      CompletableFuture<T> result,
      Map<String, String> config,
      Arguments asked,
      Map<Parameter<Raster>, byte[]> pictures) {
    generate(result, config, asked, pictures, Map.of());
  }

  /**
   * Completes the future with the value; with null where it cannot be made, or exceptionally if the
   * function was set to fail.
   *
   * @param config other values than the module's, by the names of its options
   * @param asked the call's own arguments
   * @param pictures those of them that are image files
   * @param further image files by the names that columns have in kebab case
   */
  final void generate(
      CompletableFuture<T> result,
      Map<String, String> config,
      Arguments asked,
      Map<Parameter<Raster>, byte[]> pictures,
      Map<String, byte[]> further) {
    Map<String, String> copied = new HashMap<>(config);
    Map<String, byte[]> images = new TreeMap<>(further);
    limit
        .guard(
            service
                .use(copied.remove(ModelList.PARAMETER))
                .thenCompose(model -> answer(model, copied, asked, pictures, images))
                .thenApplyAsync(answer -> value(service, answer), service.workers()))
        .whenComplete(
            (value, thrown) -> {
              if (thrown == null) {
                result.complete(value);
              } else {
                failed(result, thrown);
              }
            });
  }

  /** A call taken apart; its pictures' files are not needed any more. */
  private record Call(GenerationSpec spec, int samples, Map<String, String> inputDigests) {}

  private CompletableFuture<Answer> answer(
      GenerationService.Served model,
      Map<String, String> config,
      Arguments asked,
      Map<Parameter<Raster>, byte[]> pictures,
      Map<String, byte[]> further) {
    return CompletableFuture.supplyAsync(
            () -> call(model, config, asked, ArgumentValues.images(name, pictures, further)),
            service.workers())
        .thenCompose(call -> Answer.of(model, call.spec(), call.samples(), call.inputDigests()))
        .whenComplete((any, failure) -> model.close());
  }

  private Call call(
      GenerationService.Served model,
      Map<String, String> config,
      Arguments asked,
      Map<Parameter<Raster>, byte[]> pictures) {
    int samples = samples(config);
    Arguments arguments = defaults.with(ArgumentValues.ofCall(name, config));
    Map<String, String> digests = new TreeMap<>();
    for (Map.Entry<Parameter<Raster>, byte[]> picture : pictures.entrySet()) {
      arguments =
          arguments.with(
              picture.getKey(),
              picture.getKey() == Parameters.MASK
                  ? ModelBands.gray(GenerationService.read(picture.getValue()))
                  : model.seen(GenerationService.read(picture.getValue())));
      digests.put(picture.getKey().name(), Sha256.hex(picture.getValue()));
    }
    arguments = arguments.with(asked);
    return new Call(new GenerationSpec(arguments.digest(), arguments), samples, digests);
  }

  /** Takes the number of samples, which is no parameter, out of the call's map. */
  private int samples(Map<String, String> config) {
    String own = config.remove(DiffusionModelOptions.ENSEMBLE_SIZE.key());
    try {
      return ArgumentValues.samples(
          own == null ? options : Map.of(DiffusionModelOptions.ENSEMBLE_SIZE.key(), own));
    } catch (ValidationException e) {
      throw new InvalidRequestException(e.getMessage());
    }
  }

  private void failed(CompletableFuture<T> result, Throwable thrown) {
    Throwable cause = thrown;
    while (cause instanceof CompletionException && cause.getCause() != null) {
      cause = cause.getCause();
    }
    if (failing || !(cause instanceof ConcernsOneRequest)) {
      result.completeExceptionally(OnError.failingTheJob(cause));
    } else {
      LOG.warn("{} returns NULL: {}", name, cause.getMessage());
      result.complete(null);
    }
  }

  @Override
  public void close() {
    if (limit != null) {
      limit.close();
    }
    if (service != null) {
      service.close();
    }
  }
}
