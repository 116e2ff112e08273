/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.connector.options.Keys;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.GenerationService;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
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

  /** What says how rows share network calls. */
  private static final List<ConfigOption<?>> BATCHING =
      List.of(DiffusionOptions.BATCH_ROWS, DiffusionOptions.BATCH_AGING);

  /** After which Flink fails the job, whatever on-error says. */
  private static final ConfigOption<Duration> TIMEOUT =
      ConfigOptions.key("timeout").durationType().noDefaultValue();

  private static final Set<String> FLINKS =
      Set.of("async", "output-mode", CONCURRENCY, TIMEOUT.key());

  private final InputColumns inputs;
  private final OutputColumns outputs;
  private final GenerationService.Settings settings;
  private final Map<String, String> options;
  private final int sessionConcurrency;
  private final Duration sessionTimeout;

  /**
   * @param settings of the model and the device
   * @param options of the WITH clause
   * @param sessionConcurrency rows that Flink gives a subtask at a time where a call does not say
   * @param sessionTimeout after which Flink fails the job where a call does not say
   */
  DiffusionModelProvider(
      InputColumns inputs,
      OutputColumns outputs,
      GenerationService.Settings settings,
      Map<String, String> options,
      int sessionConcurrency,
      Duration sessionTimeout) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.settings = settings;
    this.options = Map.copyOf(options);
    this.sessionConcurrency = sessionConcurrency;
    this.sessionTimeout = sessionTimeout;
  }

  @Override
  public ModelProvider copy() {
    return new DiffusionModelProvider(
        inputs, outputs, settings, options, sessionConcurrency, sessionTimeout);
  }

  @Override
  public AsyncPredictFunction createAsyncPredictFunction(ModelProvider.Context context) {
    Map<String, String> config = config(context);
    return new AsyncDiffusionPredictFunction(
        prediction(
            config,
            config.containsKey(CONCURRENCY)
                ? Integer.parseInt(config.get(CONCURRENCY))
                : sessionConcurrency,
            context.runtimeConfig().getOptional(TIMEOUT).orElse(sessionTimeout)));
  }

  @Override
  public PredictFunction createPredictFunction(ModelProvider.Context context) {
    Map<String, String> config = config(context);
    for (ConfigOption<?> option : BATCHING) {
      String key = DiffusionModelOptions.key(option);
      if (options.containsKey(key)) {
        throw new ValidationException(
            ("The model's WITH clause sets '%s', but with 'async' = 'false' Flink gives it one row"
                    + " at a time; leave 'async' out, or create the model without '%s'.")
                .formatted(key, key));
      }
    }
    if (config.containsKey(CONCURRENCY)) {
      throw new ValidationException(
          "The CONFIG map of ML_PREDICT has '%s', but with 'async' = 'false' Flink gives the model one row at a time; leave one of them out."
              .formatted(CONCURRENCY));
    }
    return new DiffusionPredictFunction(prediction(config, 1, null));
  }

  /** The CONFIG map, which Flink passes on as it was written. */
  private static Map<String, String> config(ModelProvider.Context context) {
    return ((Configuration) context.runtimeConfig()).toMap();
  }

  /**
   * @param timeout null where Flink waits for a row as long as it takes
   */
  private Prediction prediction(Map<String, String> config, int concurrency, Duration timeout) {
    requireKnown(config);
    Map<String, String> all = new LinkedHashMap<>(options);
    all.putAll(config);
    ArgumentValues.of(all);
    OnError onError =
        DiffusionModelOptions.onError(all)
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
            timeout == null ? settings : settings.endingWithin(timeout),
            onError,
            concurrency,
            ArgumentValues.samples(all),
            timeout),
        all);
  }

  /** Flink passes on whatever the map has. */
  private static void requireKnown(Map<String, String> config) {
    Set<String> ofTheModel = new TreeSet<>(config.keySet());
    ofTheModel.retainAll(
        DiffusionModelOptions.SHARED.keySet().stream()
            .flatMap(option -> DiffusionModelOptions.keyIn(config, option).stream())
            .toList());
    if (!ofTheModel.isEmpty()) {
      throw new ValidationException(
          "The CONFIG map of ML_PREDICT has options of the model's WITH clause: %s."
              .formatted(String.join(", ", ofTheModel)));
    }
    Set<String> known = new TreeSet<>(DiffusionModelOptions.perCall());
    known.addAll(FLINKS);
    String unknown = Keys.unknown(config.keySet(), known);
    if (!unknown.isEmpty()) {
      throw new ValidationException(
          "The CONFIG map of ML_PREDICT has unknown keys: %s. Expected are %s, and Flink's own %s."
              .formatted(
                  unknown,
                  String.join(", ", DiffusionModelOptions.perCall()),
                  String.join(", ", new TreeSet<>(FLINKS))));
    }
  }
}
