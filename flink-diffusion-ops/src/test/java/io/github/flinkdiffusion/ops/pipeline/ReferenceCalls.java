/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Map;

/** Calls of diffusers, in its own words, as requests. */
final class ReferenceCalls {
  /** What diffusers calls the parameters whose names are not the same in another spelling. */
  private static final Map<String, String> NAMES =
      Map.of(
          "num_inference_steps", "steps",
          "control_image", "image",
          "control_image_1", "controlImage",
          "mask_image", "mask",
          "class_labels", "classLabel");

  private ReferenceCalls() {}

  /**
   * @param inputs names of the call's images: a control image beside the image that the steps begin
   *     with is the request's control image, one alone its image
   */
  static Parameter<?> parameter(String argument, JsonNode inputs) {
    return argument.equals("control_image") && inputs.has("image")
        ? Parameters.CONTROL_IMAGE
        : parameter(argument);
  }

  static Parameter<?> parameter(String argument) {
    String[] words = argument.split("_");
    StringBuilder name = new StringBuilder(words[0]);
    for (int i = 1; i < words.length; i++) {
      name.append(Character.toUpperCase(words[i].charAt(0))).append(words[i].substring(1));
    }
    return Parameters.named(NAMES.getOrDefault(argument, name.toString())).orElseThrow();
  }

  static <T> GenerationSpec with(GenerationSpec spec, Parameter<T> parameter, Raster value) {
    return spec.with(parameter, parameter.type().cast(value));
  }

  static <T> GenerationSpec with(GenerationSpec spec, Parameter<T> parameter, JsonNode value) {
    JsonNode one =
        value.isArray() && parameter.type() != Numbers.class && value.size() == 1
            ? value.get(0)
            : value;
    Object converted;
    if (parameter.type() == String.class) {
      converted = one.asText();
    } else if (parameter.type() == Long.class) {
      converted = Long.valueOf(one.isBoolean() ? (one.asBoolean() ? 1 : 0) : one.asLong());
    } else if (parameter.type() == Double.class) {
      converted = one.asDouble();
    } else {
      if (one.isNumber()) {
        return spec.with(parameter, parameter.type().cast(new Numbers(one.asDouble())));
      }
      double[] numbers = new double[one.size()];
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] = one.get(i).asDouble();
      }
      converted = new Numbers(numbers);
    }
    return spec.with(parameter, parameter.type().cast(converted));
  }
}
