/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import java.util.Arrays;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.Collectors;
import org.apache.flink.annotation.Internal;

/**
 * One thing that a request may say, such as {@code guidanceScale}. Its name is the one that events,
 * failure messages and saved state use. All of them are listed in {@link Parameters}.
 *
 * @param <T> one of {@link String}, {@link Long}, {@link Double}, {@link
 *     io.github.flinkdiffusion.ops.image.Raster}, {@link Numbers}
 */
@Internal
public final class Parameter<T> {
  /** Characters of a refused text in a message: texts come from anybody. */
  private static final int MOST_SHOWN = 100;

  private final String name;
  private final Class<T> type;
  private final String description;
  private final Accepted<T> accepted;

  Parameter(String name, Class<T> type, String description, Accepted<T> accepted) {
    this.name = Objects.requireNonNull(name);
    this.type = Objects.requireNonNull(type);
    this.description = Objects.requireNonNull(description);
    this.accepted = Objects.requireNonNull(accepted);
  }

  public String name() {
    return name;
  }

  public Class<T> type() {
    return type;
  }

  /** One sentence for the reference page, with the name that diffusers gives it. */
  public String description() {
    return description;
  }

  /** What a value must be, whatever the model; a model may ask for more. */
  public String accepted() {
    return accepted.words();
  }

  /**
   * @throws InvalidRequestException when no model could take the value
   */
  void check(T value) {
    if (!accepted.check().test(value)) {
      throw new InvalidRequestException(
          "%s is %s; it must be %s.".formatted(name, value, accepted.words()));
    }
  }

  /**
   * A value from text: numbers as Java or JSON writes them, {@code true} and {@code false} for 1
   * and 0, several numbers separated by commas. Whether the value is in its range is for {@link
   * Signature#resolve} to say.
   *
   * @throws InvalidRequestException for a text that stands for no value of this type; a picture has
   *     none
   */
  public T parse(String text) {
    if (type == Raster.class) {
      throw new InvalidRequestException(
          "%s is an image and cannot be set as a text.".formatted(name));
    }
    try {
      return type.cast(value(text));
    } catch (NumberFormatException e) {
      throw new InvalidRequestException(
          "%s is '%s'; it must be %s.".formatted(name, shown(text), accepted.words()));
    }
  }

  private Object value(String text) {
    if (type == Long.class) {
      return switch (text.strip().toLowerCase(Locale.ROOT)) {
        case "true" -> 1L;
        case "false" -> 0L;
        default -> Long.valueOf(text.strip());
      };
    }
    if (type == Double.class) {
      return Double.valueOf(text.strip());
    }
    if (type == Numbers.class) {
      return new Numbers(
          Arrays.stream(text.split("[,;x]", -1))
              .map(String::strip)
              .mapToDouble(Double::parseDouble)
              .toArray());
    }
    return text;
  }

  /**
   * The text that {@link #parse} reads back as the same value.
   *
   * @throws InvalidRequestException for a picture
   */
  public String format(T value) {
    if (value instanceof Raster) {
      throw new InvalidRequestException(
          "%s is an image and cannot be written as a text.".formatted(name));
    }
    return value instanceof Numbers numbers
        ? Arrays.stream(numbers.values())
            .mapToObj(Double::toString)
            .collect(Collectors.joining(","))
        : value.toString();
  }

  /** A text that comes from anybody, as a message holds it. */
  static String shown(String text) {
    return text.length() <= MOST_SHOWN ? text : text.substring(0, MOST_SHOWN) + "...";
  }

  @Override
  public String toString() {
    return name;
  }
}
