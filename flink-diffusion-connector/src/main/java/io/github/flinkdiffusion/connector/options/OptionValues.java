/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.options;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.configuration.ReadableConfig;

/** Options as somebody wrote them: keys that there are not, and texts that are no value. */
@Internal
public final class OptionValues {
  /** Characters of a refused value in a message. */
  private static final int MOST_SHOWN = 100;

  /** How Flink's message about an enum ends. */
  private static final Pattern ONE_OF = Pattern.compile("Expected one of: \\[+([^\\[\\]]*)]");

  private OptionValues() {}

  /**
   * The sentence about keys that begin with the prefix and are no option; empty when all are known.
   *
   * @param known whose keys begin with the prefix; below an option that is a map there may be
   *     further keys
   */
  public static Optional<String> unknown(
      ReadableConfig config, String prefix, Collection<ConfigOption<?>> known) {
    Set<String> keys = known.stream().map(ConfigOption::key).collect(Collectors.toSet());
    Set<String> alsoRead =
        known.stream().flatMap(option -> Keys.of(option).stream()).collect(Collectors.toSet());
    Set<String> maps =
        known.stream()
            .filter(OptionValues::isMap)
            .map(option -> option.key() + ".")
            .collect(Collectors.toSet());
    Set<String> written =
        config.toMap().keySet().stream()
            .filter(key -> key.startsWith(prefix))
            .filter(key -> maps.stream().noneMatch(key::startsWith))
            .filter(key -> !alsoRead.contains(key))
            .collect(Collectors.toSet());
    String unknown = Keys.unknown(written, keys);
    return unknown.isEmpty()
        ? Optional.empty()
        : Optional.of(
            "Unknown option %s. Correct the key or remove it; docs/OPTIONS.md lists all options."
                .formatted(unknown));
  }

  /**
   * An option's value, empty when it is not set.
   *
   * @param refusal makes the exception of the sentence about a text that is no value
   */
  public static <T> Optional<T> read(
      ReadableConfig config,
      ConfigOption<T> option,
      Function<String, ? extends RuntimeException> refusal) {
    try {
      return config.getOptional(option);
    } catch (IllegalArgumentException e) {
      // Flink's own exception holds the text, so it is no cause here.
      throw refusal.apply(
          "Invalid value %2$s for option %1$s: expected %3$s."
              .formatted(option.key(), shown(config, option), accepted(option, e)));
    }
  }

  private static String shown(ReadableConfig config, ConfigOption<?> option) {
    if (isMap(option) || GlobalConfiguration.isSensitive(option.key())) {
      return "(not shown, because it may be secret)";
    }
    Map<String, String> texts = config.toMap();
    String text =
        Keys.of(option).stream()
            .filter(texts::containsKey)
            .findFirst()
            .map(texts::get)
            .orElse("what it is set to");
    return "'" + (text.length() <= MOST_SHOWN ? text : text.substring(0, MOST_SHOWN) + "...") + "'";
  }

  /** Flink keeps an option's type to itself, so it is found by what the option takes. */
  private static String accepted(ConfigOption<?> option, IllegalArgumentException refused) {
    for (Throwable cause = refused; cause != null; cause = cause.getCause()) {
      Matcher oneOf = ONE_OF.matcher(String.valueOf(cause.getMessage()));
      if (oneOf.find()) {
        return "one of " + oneOf.group(1);
      }
    }
    if (isMap(option)) {
      return "entries key:value separated by commas, or one sub-key for each entry";
    }
    if (value(option, "1;2").filter(List.class::isInstance).isPresent()) {
      return "a list of numbers separated by semicolons";
    }
    if (takes(option, "true")) {
      return "true or false";
    }
    if (takes(option, "1 min")) {
      return "a time such as 10 s or 5 min";
    }
    if (takes(option, "1 mb")) {
      return "a size such as 512 kb or 16 mb";
    }
    return takes(option, "0.5") ? "a number" : "a whole number";
  }

  private static boolean isMap(ConfigOption<?> option) {
    return value(option, "key:value").filter(Map.class::isInstance).isPresent();
  }

  private static boolean takes(ConfigOption<?> option, String text) {
    return value(option, text).isPresent();
  }

  private static Optional<?> value(ConfigOption<?> option, String text) {
    try {
      return Configuration.fromMap(Map.of(option.key(), text)).getOptional(option);
    } catch (IllegalArgumentException e) {
      return Optional.empty();
    }
  }
}
