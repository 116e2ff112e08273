package io.github.flinkdiffusion.ops.pipeline;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** Values of some {@link Parameters}. Immutable; equal when all values are equal. */
public final class Arguments {
  /** None at all. */
  public static final Arguments NONE = new Arguments(Map.of());

  private final Map<Parameter<?>, Object> values;

  private Arguments(Map<Parameter<?>, Object> values) {
    this.values = values;
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

  /** These and the others; where both have a value, the others'. */
  public Arguments with(Arguments others) {
    Map<Parameter<?>, Object> more = new LinkedHashMap<>(values);
    more.putAll(others.values);
    return new Arguments(more);
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
