/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.api.config.ExecutionConfigOptions;
import org.apache.flink.table.catalog.ResolvedCatalogModel;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.factories.ModelProviderFactory;
import org.apache.flink.table.ml.ModelProvider;

/**
 * {@code 'provider' = 'diffusion'}: a model folder as a model of the catalog. Options are {@link
 * DiffusionModelOptions}; what the WITH clause leaves out is taken from the session's configuration
 * ({@link DiffusionOptions}).
 */
@Internal
public final class DiffusionModelProviderFactory implements ModelProviderFactory {
  private static final Set<String> OF_FLINK =
      Set.of(FactoryUtil.PROVIDER.key(), FactoryUtil.PROPERTY_VERSION.key());

  @Override
  public String factoryIdentifier() {
    return "diffusion";
  }

  @Override
  public Set<ConfigOption<?>> requiredOptions() {
    return Set.of();
  }

  @Override
  public Set<ConfigOption<?>> optionalOptions() {
    return DiffusionModelOptions.all();
  }

  @Override
  public ModelProvider createModelProvider(Context context) {
    requireStreamingBefore23(context.getConfiguration(), EnvironmentInformation.getVersion());
    ResolvedCatalogModel model = context.getCatalogModel();
    Map<String, String> with = model.getOptions();
    requireKnown(with);
    DiffusionModelOptions.onError(with);
    ArgumentValues.of(with);
    ArgumentValues.samples(with);
    return new DiffusionModelProvider(
        InputColumns.of(model.getResolvedInputSchema()),
        OutputColumns.of(model.getResolvedOutputSchema()),
        ClauseSettings.of("", with, context.getConfiguration()),
        with,
        context
            .getConfiguration()
            .get(ExecutionConfigOptions.TABLE_EXEC_ASYNC_ML_PREDICT_MAX_CONCURRENT_OPERATIONS),
        context.getConfiguration().get(ExecutionConfigOptions.TABLE_EXEC_ASYNC_ML_PREDICT_TIMEOUT));
  }

  /** Flink would name all options, too, but not the one that was meant. */
  private static void requireKnown(Map<String, String> with) {
    Set<String> written = new TreeSet<>(with.keySet());
    written.removeAll(OF_FLINK);
    String unknown = DiffusionModelOptions.unknown(written);
    if (!unknown.isEmpty()) {
      throw new ValidationException(
          "The WITH clause has unknown options: %s. Expected are %s."
              .formatted(unknown, String.join(", ", DiffusionModelOptions.keys())));
    }
  }

  /** Flink's own message, that it cannot plan the query, does not say why. */
  static void requireStreamingBefore23(ReadableConfig session, String flink) {
    if (session.get(ExecutionOptions.RUNTIME_MODE) == RuntimeExecutionMode.BATCH
        && flink.startsWith("2.2.")) {
      throw new ValidationException(
          "ML_PREDICT works in batch mode since Flink 2.3, and this is Flink %s; set 'execution.runtime-mode' to 'streaming'."
              .formatted(flink));
    }
  }
}
