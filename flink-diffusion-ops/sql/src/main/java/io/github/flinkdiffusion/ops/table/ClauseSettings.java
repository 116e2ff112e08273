/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.GenerationService;
import io.github.flinkdiffusion.ops.serving.KnownOptions;
import java.util.Map;
import java.util.Optional;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.api.ValidationException;

/**
 * What a {@code WITH} clause says about the model and the device; what it leaves out is taken from
 * the session's configuration.
 */
final class ClauseSettings {
  private ClauseSettings() {}

  /**
   * @param prefix of the clause's keys, for messages; it is not in {@code clause} any more
   * @throws ValidationException naming the option as it stands in the clause, its value and what
   *     would be accepted
   * @throws DiffusionException the same of an option of the session
   */
  static GenerationService.Settings of(
      String prefix, Map<String, String> clause, ReadableConfig session) {
    KnownOptions.refuseUnknown(session);
    Configuration diffusion = new Configuration();
    DiffusionOptions.ALL.forEach(option -> FunctionSettings.copy(option, session, diffusion));
    DiffusionModelOptions.SHARED.forEach(
        (option, accepted) -> {
          DiffusionModelOptions.keyIn(clause, option)
              .ifPresent(key -> set(diffusion, option, clause.get(key), prefix + key, accepted));
        });
    if (!diffusion.contains(DiffusionOptions.MODEL_FOLDER)) {
      throw new ValidationException(
          "The WITH clause lacks '%s%s': set it to %s, or set the session's '%s'."
              .formatted(
                  prefix,
                  DiffusionModelOptions.key(DiffusionOptions.MODEL_FOLDER),
                  DiffusionModelOptions.SHARED.get(DiffusionOptions.MODEL_FOLDER),
                  DiffusionOptions.MODEL_FOLDER.key()));
    }
    try {
      return GenerationService.Settings.of(diffusion);
    } catch (DiffusionException e) {
      throw inTheWordsOf(clause, prefix, e);
    }
  }

  private static void set(
      Configuration diffusion, ConfigOption<?> option, String text, String key, String accepted) {
    diffusion.addAll(Configuration.fromMap(Map.of(option.key(), text)));
    try {
      diffusion.get(option);
    } catch (IllegalArgumentException e) {
      throw new ValidationException(
          "Invalid value '%2$s' for option '%1$s': expected %3$s.".formatted(key, text, accepted),
          e);
    }
  }

  /** Whoever wrote a clause has not written the option's full name. */
  private static RuntimeException inTheWordsOf(
      Map<String, String> clause, String prefix, DiffusionException refused) {
    String message = refused.getMessage();
    for (ConfigOption<?> option : DiffusionModelOptions.SHARED.keySet()) {
      Optional<String> key = DiffusionModelOptions.keyIn(clause, option);
      if (key.isPresent() && message.contains(" option " + option.key() + ":")) {
        return new ValidationException(
            message.replace(
                " option " + option.key() + ":", " option '" + prefix + key.get() + "':"),
            refused);
      }
    }
    return refused;
  }
}
