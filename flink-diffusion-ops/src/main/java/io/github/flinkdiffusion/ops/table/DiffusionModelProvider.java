package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.operator.GenerationService;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.functions.AsyncPredictFunction;
import org.apache.flink.table.functions.PredictFunction;
import org.apache.flink.table.ml.AsyncPredictRuntimeProvider;
import org.apache.flink.table.ml.ModelProvider;
import org.apache.flink.table.ml.PredictRuntimeProvider;

/** A model of the catalog, ready to be called. */
final class DiffusionModelProvider implements AsyncPredictRuntimeProvider, PredictRuntimeProvider {

  /** What Flink itself reads from the CONFIG map. */
  private static final String CONCURRENCY = "max-concurrent-operations";

  private static final Set<String> FLINKS = Set.of("async", "output-mode", CONCURRENCY, "timeout");

  private final InputColumns inputs;
  private final OutputColumns outputs;
  private final Configuration diffusion;
  private final Map<String, String> options;
  private final int encodingThreads;
  private final int sessionConcurrency;

  /**
   * @param diffusion {@link io.github.flinkdiffusion.ops.operator.DiffusionOptions}
   * @param options of the WITH clause
   * @param sessionConcurrency rows that Flink gives a subtask at a time where a call does not say
   */
  DiffusionModelProvider(
      InputColumns inputs,
      OutputColumns outputs,
      Configuration diffusion,
      Map<String, String> options,
      int encodingThreads,
      int sessionConcurrency) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.diffusion = diffusion;
    this.options = Map.copyOf(options);
    this.encodingThreads = encodingThreads;
    this.sessionConcurrency = sessionConcurrency;
  }

  @Override
  public ModelProvider copy() {
    return new DiffusionModelProvider(
        inputs, outputs, diffusion, options, encodingThreads, sessionConcurrency);
  }

  @Override
  public AsyncPredictFunction createAsyncPredictFunction(ModelProvider.Context context) {
    Map<String, String> config = config(context);
    return new AsyncDiffusionPredictFunction(
        prediction(
            config,
            config.containsKey(CONCURRENCY)
                ? Integer.parseInt(config.get(CONCURRENCY))
                : sessionConcurrency));
  }

  @Override
  public PredictFunction createPredictFunction(ModelProvider.Context context) {
    if (options.containsKey("batch.rows")) {
      throw new ValidationException(
          "The model sets 'batch.rows', but with 'async' = 'false' Flink gives it one row at a time; leave 'async' out, or make the model without 'batch.rows'.");
    }
    return new DiffusionPredictFunction(prediction(config(context), 1));
  }

  /** The CONFIG map, which Flink passes on as it was written. */
  private static Map<String, String> config(ModelProvider.Context context) {
    return ((Configuration) context.runtimeConfig()).toMap();
  }

  private Prediction prediction(Map<String, String> config, int concurrency) {
    Set<String> unknown = new TreeSet<>(config.keySet());
    unknown.removeAll(FLINKS);
    unknown.removeAll(DiffusionModelOptions.perCall());
    if (!unknown.isEmpty()) {
      throw new ValidationException(
          "The CONFIG map of ML_PREDICT has keys that a diffusion model does not know: %s. It may have %s, and Flink's own %s."
              .formatted(
                  String.join(", ", unknown),
                  String.join(", ", DiffusionModelOptions.perCall()),
                  String.join(", ", new TreeSet<>(FLINKS))));
    }
    Map<String, String> all = new LinkedHashMap<>(options);
    all.putAll(config);
    ArgumentValues.of(all);
    Configuration asked = Configuration.fromMap(all);
    OnError onError =
        asked
            .getOptional(DiffusionModelOptions.ON_ERROR)
            .orElse(outputs.hasError() ? OnError.COLUMN : OnError.FAIL);
    if (onError == OnError.COLUMN && !outputs.hasError()) {
      throw new ValidationException(
          "'on-error' is 'COLUMN', but the model's output has no column `%s` STRING to hold the reason."
              .formatted(OutputColumns.ERROR));
    }
    return new Prediction(
        new Prediction.Plan(
            inputs,
            outputs,
            GenerationService.Settings.of(diffusion),
            onError,
            encodingThreads,
            concurrency,
            ArgumentValues.samples(all)),
        all);
  }
}
