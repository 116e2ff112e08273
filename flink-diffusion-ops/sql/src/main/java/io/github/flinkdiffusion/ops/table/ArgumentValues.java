/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.connector.event.FailureMessages;
import io.github.flinkdiffusion.connector.options.Keys;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.Ensemble;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.flink.table.api.ValidationException;

/** Parameters from the text of options. */
final class ArgumentValues {
  private static final int MOST_SHOWN = 80;

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
   * A call's images and those of its map of images.
   *
   * @param images by the parameter that each is
   * @param further by the parameters' names as options have them; a NULL counts as left out
   * @throws InvalidRequestException for a name that is no image, or stands for an image of the call
   */
  @SuppressWarnings("unchecked") // by its type
  static Map<Parameter<Raster>, byte[]> images(
      String function, Map<Parameter<Raster>, byte[]> images, Map<String, byte[]> further) {
    if (further.isEmpty()) {
      return images;
    }
    List<Parameter<?>> known =
        Parameters.all().stream()
            .filter(each -> each.type() == Raster.class && !images.containsKey(each))
            .filter(each -> each != Parameters.IMAGE)
            .toList();
    Map<Parameter<Raster>, byte[]> all = new LinkedHashMap<>(images);
    for (Map.Entry<String, byte[]> image : further.entrySet()) {
      Parameter<?> parameter =
          known.stream()
              .filter(each -> DiffusionModelOptions.key(each).equals(image.getKey()))
              .findFirst()
              .orElseThrow(
                  () ->
                      new InvalidRequestException(
                          "%s has an unknown key '%s' in its map of images; expected are %s."
                              .formatted(
                                  function,
                                  FailureMessages.shortened(image.getKey(), MOST_SHOWN),
                                  known.stream()
                                      .map(DiffusionModelOptions::key)
                                      .collect(Collectors.joining(", ")))));
      if (image.getValue() != null) {
        all.put((Parameter<Raster>) parameter, image.getValue());
      }
    }
    return all;
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
