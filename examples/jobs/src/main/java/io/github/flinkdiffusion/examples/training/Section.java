/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * A part of a recipe. A key that is not known is refused: a misspelled one would be a training of
 * hours with a default.
 */
final class Section {
  private final Config config;

  private Section(Config config, String... known) {
    this.config = config;
    Set<String> unknown = new TreeSet<>();
    config.node().fieldNames().forEachRemaining(unknown::add);
    List.of(known).forEach(unknown::remove);
    if (!unknown.isEmpty()) {
      throw new IllegalConfigException(
          "Recipe %s: unknown keys %s; known are %s."
              .formatted(config.source(), unknown, new TreeSet<>(List.of(known))));
    }
  }

  /**
   * Reads a recipe.
   *
   * @param known its keys
   * @throws IllegalConfigException if it is no YAML object, or has another key
   */
  static Section read(Path file, String... known) throws IOException {
    JsonNode node;
    try {
      node = new ObjectMapper(new YAMLFactory()).readTree(Files.readString(file));
    } catch (JsonProcessingException e) {
      throw new IllegalConfigException(
          "Recipe %s is not valid YAML: %s".formatted(file, e.getOriginalMessage()));
    }
    if (node == null || !node.isObject()) {
      throw new IllegalConfigException(
          "Recipe %s has no keys; expected task, model, out, data and others.".formatted(file));
    }
    return new Section(Config.of(file.toString(), node), known);
  }

  /** A part of this part; without keys if it is not there. */
  Section section(String key, String... known) {
    return new Section(
        config.section(key).orElseGet(() -> Config.empty(config.source() + " [" + key + "]")),
        known);
  }

  /** The parts of a list; none if it is not there. */
  List<Section> sections(String key, String... known) {
    if (!has(key)) {
      return List.of();
    }
    JsonNode list = config.node().get(key);
    if (!list.isArray()) {
      throw config.unsupported(key, list, "a list");
    }
    List<Section> sections = new ArrayList<>();
    for (int i = 0; i < list.size(); i++) {
      String source = "%s [%s %d]".formatted(config.source(), key, i + 1);
      sections.add(new Section(Config.of(source, list.get(i)), known));
    }
    return sections;
  }

  boolean has(String key) {
    return config.has(key);
  }

  Config config() {
    return config;
  }

  String text(String key) {
    return config.string(key);
  }

  String text(String key, String missing) {
    return config.string(key, missing);
  }

  Path path(String key) {
    return Path.of(config.string(key));
  }

  Optional<Path> optionalPath(String key) {
    return has(key) ? Optional.of(path(key)) : Optional.empty();
  }

  int whole(String key, int missing, int least) {
    int value = config.integer(key, missing);
    if (value < least) {
      throw config.unsupported(key, value, "a whole number from " + least);
    }
    return value;
  }

  double number(String key, double missing) {
    return config.number(key, missing);
  }

  boolean flag(String key, boolean missing) {
    return config.flag(key, missing);
  }

  /** A constant of an enum, in lower case. */
  <E extends Enum<E>> E choice(String key, E missing) {
    String text = text(key, missing.name().toLowerCase(Locale.ROOT));
    return Arrays.stream(missing.getDeclaringClass().getEnumConstants())
        .filter(each -> each.name().toLowerCase(Locale.ROOT).equals(text))
        .findFirst()
        .orElseThrow(
            () ->
                config.unsupported(
                    key,
                    text,
                    Arrays.stream(missing.getDeclaringClass().getEnumConstants())
                        .map(each -> each.name().toLowerCase(Locale.ROOT))
                        .collect(Collectors.joining(", "))));
  }
}
