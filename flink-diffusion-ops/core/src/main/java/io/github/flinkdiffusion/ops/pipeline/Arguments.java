/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.flink.annotation.Internal;

/** Values of some {@link Parameters}. Immutable; equal when all values are equal. */
@Internal
public final class Arguments {
  /** None at all. */
  public static final Arguments NONE = new Arguments(Map.of());

  private final Map<Parameter<?>, Object> values;

  private Arguments(Map<Parameter<?>, Object> values) {
    this.values = values;
  }

  /**
   * Values from texts by the parameters' names, see {@link Parameter#parse}.
   *
   * @throws InvalidRequestException for a name that there is not, or a text that stands for no
   *     value
   */
  public static Arguments parse(Map<String, String> texts) {
    Arguments arguments = NONE;
    for (Map.Entry<String, String> text : texts.entrySet()) {
      Parameter<?> parameter =
          Parameters.named(text.getKey()).orElseThrow(() -> unknown(text.getKey()));
      arguments = arguments.withText(parameter, text.getValue());
    }
    return arguments;
  }

  private static InvalidRequestException unknown(String name) {
    List<String> known =
        Parameters.all().stream()
            .filter(each -> each.type() != Raster.class)
            .map(Parameter::name)
            .toList();
    return new InvalidRequestException(
        "There is no parameter '%s'%s; there are %s."
            .formatted(
                Parameter.shown(name), Suggestion.of(name, known), String.join(", ", known)));
  }

  private <T> Arguments withText(Parameter<T> parameter, String text) {
    return with(parameter, parameter.parse(text));
  }

  /** The value, or null. */
  public <T> T get(Parameter<T> parameter) {
    return parameter.type().cast(values.get(parameter));
  }

  public boolean has(Parameter<?> parameter) {
    return values.containsKey(parameter);
  }

  public Set<Parameter<?>> parameters() {
    return Collections.unmodifiableSet(values.keySet());
  }

  /** These and one more, or another value; null leaves all as it is. */
  public <T> Arguments with(Parameter<T> parameter, T value) {
    if (value == null) {
      return this;
    }
    Map<Parameter<?>, Object> more = new LinkedHashMap<>(values);
    more.put(parameter, parameter.type().cast(value));
    return new Arguments(more);
  }

  /** These but for some; what is not there is not missed. */
  public Arguments without(Parameter<?>... some) {
    Map<Parameter<?>, Object> fewer = new LinkedHashMap<>(values);
    fewer.keySet().removeAll(List.of(some));
    return new Arguments(fewer);
  }

  /** These and the others; where both have a value, the others'. */
  public Arguments with(Arguments others) {
    Map<Parameter<?>, Object> more = new LinkedHashMap<>(values);
    more.putAll(others.values);
    return new Arguments(more);
  }

  /**
   * SHA-256 of all names and values in lower-case hex. Arguments that are put together in another
   * order have the same digest. An image counts by its size and the values of its pixels: the same
   * image in another file format has the same digest.
   */
  public String digest() {
    return ArgumentsDigest.of(this);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Arguments that && values.equals(that.values);
  }

  @Override
  public int hashCode() {
    return values.hashCode();
  }

  @Override
  public String toString() {
    return values.toString();
  }
}
