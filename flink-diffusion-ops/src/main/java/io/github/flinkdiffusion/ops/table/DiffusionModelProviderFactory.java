package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.operator.DiffusionOptions;
import io.github.flinkdiffusion.ops.operator.GenerationService;
import java.util.Map;
import java.util.Set;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
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
public final class DiffusionModelProviderFactory implements ModelProviderFactory {

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
    FactoryUtil.createModelProviderFactoryHelper(this, context).validate();
    requireStreamingBefore23(context.getConfiguration(), EnvironmentInformation.getVersion());
    ResolvedCatalogModel model = context.getCatalogModel();
    Map<String, String> with = model.getOptions();
    Configuration diffusion = new Configuration();
    for (ConfigOption<?> option : DiffusionOptions.ALL) {
      copy(option, context, diffusion);
    }
    diffusion.addAll(Configuration.fromMap(DiffusionModelOptions.shared(with)));
    GenerationService.Settings.of(diffusion);
    ArgumentValues.of(with);
    ArgumentValues.samples(with);
    return new DiffusionModelProvider(
        InputColumns.of(model.getResolvedInputSchema()),
        OutputColumns.of(model.getResolvedOutputSchema()),
        diffusion,
        with,
        diffusion.get(DiffusionOptions.ENCODING_THREADS),
        context
            .getConfiguration()
            .get(ExecutionConfigOptions.TABLE_EXEC_ASYNC_ML_PREDICT_MAX_CONCURRENT_OPERATIONS));
  }

  /** Flink's own message, that it can not plan the query, does not say why. */
  static void requireStreamingBefore23(ReadableConfig session, String flink) {
    if (session.get(ExecutionOptions.RUNTIME_MODE) == RuntimeExecutionMode.BATCH
        && flink.startsWith("2.2.")) {
      throw new ValidationException(
          "ML_PREDICT works in batch mode since Flink 2.3, and this is Flink %s; set 'execution.runtime-mode' to 'streaming'."
              .formatted(flink));
    }
  }

  private static <T> void copy(ConfigOption<T> option, Context from, Configuration to) {
    from.getConfiguration().getOptional(option).ifPresent(value -> to.set(option, value));
  }
}
