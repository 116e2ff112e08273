/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A thing that scenes show.
 *
 * @param icon its name in the icon sets
 * @param names in prompts, the usual one first
 * @param plural of the usual name; empty if the thing is not counted
 * @param color its own, if a prompt may say it: a green tree
 */
record Noun(String icon, List<String> names, Optional<String> plural, Optional<String> color) {
  private static final String UNCOUNTED = "-";

  private static final Map<String, String> IRREGULAR =
      Map.of(
          "mouse", "mice",
          "goose", "geese",
          "deer", "deer",
          "tooth", "teeth",
          "scarf", "scarves",
          "wolf", "wolves",
          "man", "men");

  Noun {
    names = List.copyOf(names);
  }

  /** Reads a line of {@code nouns.txt}: icon, names, plural and color, with bars between them. */
  static Noun parse(String line) {
    String[] fields = line.split("\\|", -1);
    if (fields.length < 2 || fields.length > 4 || fields[1].isBlank()) {
      throw new IllegalArgumentException(
          "'" + line + "' is no noun: expected icon|names, and optionally |plural|color");
    }
    List<String> names = List.of(fields[1].split(","));
    String plural = fields.length > 2 ? fields[2] : "";
    return new Noun(
        fields[0],
        names,
        plural.equals(UNCOUNTED)
            ? Optional.empty()
            : Optional.of(plural.isEmpty() ? pluralOf(names.get(0)) : plural),
        fields.length > 3 && !fields[3].isEmpty() ? Optional.of(fields[3]) : Optional.empty());
  }

  /** The usual name. */
  String name() {
    return names.get(0);
  }

  private static String pluralOf(String name) {
    int begin = name.lastIndexOf(' ') + 1;
    String last = name.substring(begin);
    String irregular = IRREGULAR.get(last);
    if (irregular != null) {
      return name.substring(0, begin) + irregular;
    }
    if (last.matches(".*(s|x|z|ch|sh|tomato|mango)")) {
      return name + "es";
    }
    if (last.matches(".*[^aeiou]y")) {
      return name.substring(0, name.length() - 1) + "ies";
    }
    if (last.matches(".*(leaf|knife)")) {
      return name.replaceAll("fe?$", "ves");
    }
    return name + "s";
  }
}
