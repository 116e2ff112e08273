/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.connector.options.Keys;
import io.github.flinkdiffusion.ops.imaging.Ensemble;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import java.util.Map;
import org.apache.flink.table.api.ValidationException;

/** Parameters from the text of options. */
final class ArgumentValues {
  private ArgumentValues() {}

  /**
   * Those of the options that stand for parameters.
   *
   * @throws ValidationException for a value that is not of its parameter's type
   */
  static Arguments of(Map<String, String> options) {
    Arguments arguments = Arguments.NONE;
    for (Map.Entry<String, String> option : options.entrySet()) {
      Parameter<?> parameter = DiffusionModelOptions.parameter(option.getKey());
      if (parameter != null) {
        arguments = with(arguments, parameter, option.getKey(), option.getValue());
      }
    }
    return arguments;
  }

  /**
   * Those of a call of a function.
   *
   * @throws InvalidRequestException for a key that there is not, or a value that is not of its
   *     parameter's type
   */
  static Arguments ofCall(String function, Map<String, String> config) {
    String unknown = Keys.unknown(config.keySet(), DiffusionModelOptions.parameterKeys());
    if (!unknown.isEmpty()) {
      throw new InvalidRequestException(
          "%s has unknown keys in its map: %s. Expected are %s."
              .formatted(
                  function, unknown, String.join(", ", DiffusionModelOptions.parameterKeys())));
    }
    try {
      return of(config);
    } catch (ValidationException e) {
      throw new InvalidRequestException(e.getMessage());
    }
  }

  /**
   * Samples of a row or a call.
   *
   * @throws ValidationException when it is no number from 1 to 64
   */
  static int samples(Map<String, String> options) {
    String text = options.get(DiffusionModelOptions.ENSEMBLE_SIZE.key());
    try {
      int samples =
          text == null
              ? DiffusionModelOptions.ENSEMBLE_SIZE.defaultValue()
              : Integer.parseInt(text.trim());
      if (samples >= 1 && samples <= Ensemble.MOST_SAMPLES) {
        return samples;
      }
    } catch (NumberFormatException e) {
      // said below
    }
    throw new ValidationException(
        "Invalid value '%2$s' for option '%1$s': expected a number from 1 to %3$d."
            .formatted(DiffusionModelOptions.ENSEMBLE_SIZE.key(), text, Ensemble.MOST_SAMPLES));
  }

  private static <T> Arguments with(
      Arguments arguments, Parameter<T> parameter, String key, String text) {
    try {
      return arguments.with(parameter, parameter.parse(text.trim()));
    } catch (InvalidRequestException e) {
      throw new ValidationException(
          "Invalid value '%2$s' for option '%1$s': expected %3$s."
              .formatted(key, text, parameter.accepted()),
          e);
    }
  }
}
