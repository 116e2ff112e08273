package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.operator.DiffusionOptions;
import io.github.flinkdiffusion.ops.operator.GenerationService;
import java.io.Serializable;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.api.ValidationException;

/**
 * What a module's option say about one of its functions.
 *
 * @param service which model, and how it is run
 * @param options parameters that are set for all calls
 * @param encodingThreads that decode and encode pictures
 * @param failing whether a call that can not be done fails the job instead of giving NULL
 */
record FunctionSettings(
    GenerationService.Settings service,
    Map<String, String> options,
    int encodingThreads,
    boolean failing)
    implements Serializable {
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
    Set<String> known =
        DiffusionModelOptions.all().stream()
            .map(ConfigOption::key)
            .collect(Collectors.toCollection(TreeSet::new));
    Set<String> unknown = new TreeSet<>(own.keySet());
    unknown.removeAll(known);
    if (!unknown.isEmpty()) {
      throw new ValidationException(
          "The module's options %s are not known; those that begin with '%s' end with one of %s."
              .formatted(
                  unknown.stream().map(key -> prefix + key).collect(Collectors.joining(", ")),
                  prefix,
                  String.join(", ", known)));
    }
    Configuration diffusion = new Configuration();
    for (ConfigOption<?> option : DiffusionOptions.ALL) {
      copy(option, session, diffusion);
    }
    diffusion.addAll(Configuration.fromMap(DiffusionModelOptions.shared(own)));
    ArgumentValues.of(own);
    ArgumentValues.samples(own);
    OnError onError =
        Configuration.fromMap(own).getOptional(DiffusionModelOptions.ON_ERROR).orElse(OnError.DROP);
    if (onError == OnError.COLUMN) {
      throw new ValidationException(
          "Option '%son-error' can not be COLUMN, a function has one value; use FAIL, or DROP for NULL."
              .formatted(prefix));
    }
    return new FunctionSettings(
        GenerationService.Settings.of(diffusion),
        own,
        diffusion.get(DiffusionOptions.ENCODING_THREADS),
        onError == OnError.FAIL);
  }

  static <T> void copy(ConfigOption<T> option, ReadableConfig from, Configuration to) {
    from.getOptional(option).ifPresent(value -> to.set(option, value));
  }
}
