/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.connector.options.OptionValues;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.GenerationService;
import java.io.Serializable;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.api.config.ExecutionConfigOptions;

/**
 * What a module's option say about one of its functions.
 *
 * @param service which model, and how it is run
 * @param options parameters that are set for all calls
 * @param failing whether a call that cannot be done fails the job instead of giving NULL
 * @param timeout after which Flink fails the job, as the session has it when the module is loaded
 */
record FunctionSettings(
    GenerationService.Settings service,
    Map<String, String> options,
    boolean failing,
    Duration timeout)
    implements Serializable {
  static final ConfigOption<Duration> TIMEOUT =
      ExecutionConfigOptions.TABLE_EXEC_ASYNC_SCALAR_TIMEOUT;

  /**
   * @param prefix of the function's options, such as {@code text-to-image.}
   * @param module all options of the module
   * @param session where what the module leaves out comes from
   * @throws ValidationException for an option that there is not, or a value that is not accepted
   */
  static FunctionSettings of(String prefix, Map<String, String> module, ReadableConfig session) {
    Map<String, String> own = new LinkedHashMap<>();
    module.forEach(
        (key, value) -> {
          if (key.startsWith(prefix)) {
            own.put(key.substring(prefix.length()), value);
          }
        });
    String unknown = DiffusionModelOptions.unknown(own.keySet());
    if (!unknown.isEmpty()) {
      throw new ValidationException(
          "The module has unknown options after '%s': %s. Expected are %s."
              .formatted(prefix, unknown, String.join(", ", DiffusionModelOptions.keys())));
    }
    GenerationService.Settings settings = ClauseSettings.of(prefix, own, session);
    ArgumentValues.of(own);
    ArgumentValues.samples(own);
    OnError onError = DiffusionModelOptions.onError(own).orElse(OnError.DROP);
    if (onError == OnError.COLUMN) {
      throw new ValidationException(
          ("Invalid value COLUMN for option '%son-error': a function returns one value. Expected"
                  + " FAIL, or DROP for NULL.")
              .formatted(prefix));
    }
    return new FunctionSettings(
        settings.endingWithin(session.get(TIMEOUT)),
        own,
        onError == OnError.FAIL,
        session.get(TIMEOUT));
  }

  static <T> void copy(ConfigOption<T> option, ReadableConfig from, Configuration to) {
    OptionValues.read(from, option, DiffusionException::new)
        .ifPresent(value -> to.set(option, value));
  }
}
