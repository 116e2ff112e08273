/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.connector.options.Keys;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.table.api.ValidationException;

/**
 * What a model's {@code WITH} clause and the {@code CONFIG} map of a call may say. Options of the
 * device and the model are {@link DiffusionOptions} without the prefix {@code diffusion.}; each
 * parameter that is no picture is an option, too, and stands for the column that a query does not
 * have.
 */
@Internal
public final class DiffusionModelOptions {
  private static final String PREFIX = "diffusion.";

  public static final ConfigOption<OnError> ON_ERROR =
      ConfigOptions.key("on-error")
          .enumType(OnError.class)
          .noDefaultValue()
          .withDescription(
              "What happens to a row whose image cannot be generated. FAIL: the job fails. DROP:"
                  + " the row is left out. COLUMN: the row has null outputs and the reason in"
                  + " the column error-string. Default: COLUMN if the model has such a column,"
                  + " else FAIL.");

  public static final ConfigOption<Integer> ENSEMBLE_SIZE =
      ConfigOptions.key("ensemble-size")
          .intType()
          .defaultValue(1)
          .withDescription(
              "Samples of a row or a call, 1 to 64, with consecutive seeds. The result is their"
                  + " mean (of masks, the majority), and its uncertainty is how much they differ."
                  + " The column ensemble_size wins.");

  /**
   * Those of {@link DiffusionOptions} that mean something to a model in SQL, and what they take.
   */
  static final Map<ConfigOption<?>, String> SHARED = SharedOptions.all();

  private static final Map<String, Parameter<?>> PARAMETERS = new LinkedHashMap<>();

  static {
    for (Parameter<?> parameter : Parameters.all()) {
      if (parameter.type() != Raster.class) {
        PARAMETERS.put(key(parameter), parameter);
      }
    }
  }

  private DiffusionModelOptions() {}

  /** All options of a {@code WITH} clause, for Flink and for the reference page. */
  public static Set<ConfigOption<?>> all() {
    Set<ConfigOption<?>> all = new LinkedHashSet<>();
    for (ConfigOption<?> shared : SHARED.keySet()) {
      all.add(
          ConfigOptions.key(key(shared))
              .stringType()
              .noDefaultValue()
              .withFallbackKeys(formerKeys(shared))
              .withDescription("See " + shared.key() + "."));
    }
    PARAMETERS.forEach(
        (key, parameter) ->
            all.add(
                ConfigOptions.key(key)
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                        parameter.description()
                            + " Must be "
                            + parameter.accepted()
                            + ". A column of the same name wins.")));
    all.add(ENSEMBLE_SIZE);
    all.add(ON_ERROR);
    return all;
  }

  /** Keys that the {@code CONFIG} map of one call may have beside those of Flink. */
  static Set<String> perCall() {
    Set<String> keys = new LinkedHashSet<>(PARAMETERS.keySet());
    keys.add(ENSEMBLE_SIZE.key());
    keys.add(ON_ERROR.key());
    return keys;
  }

  /** Options that stand for a parameter. */
  static Set<String> parameterKeys() {
    return PARAMETERS.keySet();
  }

  /** The parameter that an option stands for, or null. */
  static Parameter<?> parameter(String key) {
    return PARAMETERS.get(key);
  }

  /** What {@link #ON_ERROR} is set to, if it is. */
  static Optional<OnError> onError(Map<String, String> options) {
    String text = options.get(ON_ERROR.key());
    if (text == null) {
      return Optional.empty();
    }
    return Stream.of(OnError.values())
        .filter(each -> each.name().equalsIgnoreCase(text))
        .findFirst()
        .or(
            () -> {
              throw new ValidationException(
                  "Invalid value '%2$s' for option '%1$s': expected FAIL, DROP or COLUMN."
                      .formatted(ON_ERROR.key(), text));
            });
  }

  /** {@code diffusion.batch.rows} is the option {@code batch.rows}. */
  static String key(ConfigOption<?> shared) {
    return shared.key().substring(PREFIX.length());
  }

  /**
   * The key under which a clause sets a shared option, be it a former one; empty if it does not.
   */
  static Optional<String> keyIn(Map<String, String> clause, ConfigOption<?> shared) {
    return Keys.of(shared).stream()
        .map(key -> key.substring(PREFIX.length()))
        .filter(clause::containsKey)
        .findFirst();
  }

  private static String[] formerKeys(ConfigOption<?> shared) {
    return Keys.of(shared).stream()
        .skip(1)
        .map(key -> key.substring(PREFIX.length()))
        .toArray(String[]::new);
  }

  /** Keys of a clause that stand for no option, in words; empty when there are none. */
  static String unknown(Collection<String> written) {
    Set<String> accepted = new HashSet<>();
    all().forEach(option -> accepted.addAll(Keys.of(option)));
    Set<String> others = new HashSet<>(written);
    others.removeAll(accepted);
    return Keys.unknown(others, keys());
  }

  /** Of all options of a clause, sorted. */
  static Set<String> keys() {
    return all().stream().map(ConfigOption::key).collect(Collectors.toCollection(TreeSet::new));
  }

  /** {@code guidanceScale} is the option {@code guidance-scale}. */
  static String key(Parameter<?> parameter) {
    return words(parameter, "-");
  }

  /** {@code guidanceScale} is the column {@code guidance_scale}. */
  static String column(Parameter<?> parameter) {
    return words(parameter, "_");
  }

  private static String words(Parameter<?> parameter, String separator) {
    List<String> words = new ArrayList<>();
    for (String word : parameter.name().split("(?=[A-Z])|(?<=[a-z])(?=[0-9])")) {
      words.add(word.toLowerCase(Locale.ROOT));
    }
    return String.join(separator, words);
  }
}
