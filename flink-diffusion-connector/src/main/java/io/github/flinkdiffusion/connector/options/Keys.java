/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.options;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.commons.text.similarity.LevenshteinDistance;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;

/** Keys of options that somebody wrote, and those that there are. */
@Internal
public final class Keys {
  private static final LevenshteinDistance CHANGES = LevenshteinDistance.getDefaultInstance();

  private Keys() {}

  /** An option's key, then those that it had in earlier versions, which are still read. */
  public static List<String> of(ConfigOption<?> option) {
    List<String> keys = new ArrayList<>(List.of(option.key()));
    option.fallbackKeys().forEach(former -> keys.add(former.getKey()));
    return keys;
  }

  /** Those that are not known, in quotes and each with what was probably meant; none is empty. */
  public static String unknown(Collection<String> written, Collection<String> known) {
    return new TreeSet<>(written)
        .stream()
            .filter(key -> !known.contains(key))
            .map(key -> "'" + key + "'" + suggestion(key, known))
            .collect(Collectors.joining(", "));
  }

  private static String suggestion(String key, Collection<String> known) {
    return behindPrefix(key, known)
        .or(() -> nearest(key, known))
        .map(meant -> " (did you mean '" + meant + "'?)")
        .orElse("");
  }

  /** SQL has the keys of jobs without their first word: {@code diffusion.batch.rows}. */
  private static Optional<String> behindPrefix(String key, Collection<String> known) {
    return known.stream()
        .filter(each -> key.endsWith("." + each))
        .max(Comparator.comparingInt(String::length));
  }

  /** The one to which the fewest letters have to be changed, if those are few. */
  private static Optional<String> nearest(String key, Collection<String> known) {
    int few = Math.max(1, key.length() / 3);
    return known.stream()
        .filter(each -> CHANGES.apply(key, each) <= few)
        .min(
            Comparator.comparingInt((String each) -> CHANGES.apply(key, each))
                .thenComparing(each -> each));
  }
}
