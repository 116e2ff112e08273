package io.github.flinkdiffusion.ops.pipeline;

import java.util.Objects;
import java.util.function.Predicate;

/**
 * One thing that a request may say, such as {@code guidanceScale}. Its name is the one that events,
 * failure messages and saved state use. All of them are listed in {@link Parameters}.
 *
 * @param <T> one of {@link String}, {@link Long}, {@link Double}, {@link
 *     io.github.flinkdiffusion.ops.image.Raster}, {@link Numbers}
 */
public final class Parameter<T> {
  private final String name;
  private final Class<T> type;
  private final String description;
  private final String accepted;
  private final Predicate<T> check;

  /**
   * @param accepted what {@code check} accepts, as the end of the sentence "it must be ..."
   */
  Parameter(String name, Class<T> type, String description, String accepted, Predicate<T> check) {
    this.name = Objects.requireNonNull(name);
    this.type = Objects.requireNonNull(type);
    this.description = Objects.requireNonNull(description);
    this.accepted = Objects.requireNonNull(accepted);
    this.check = Objects.requireNonNull(check);
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
    return accepted;
  }

  /**
   * @throws InvalidRequestException when no model could take the value
   */
  void check(T value) {
    if (!check.test(value)) {
      throw new InvalidRequestException(
          "%s is %s; it must be %s.".formatted(name, value, accepted));
    }
  }

  @Override
  public String toString() {
    return name;
  }
}
