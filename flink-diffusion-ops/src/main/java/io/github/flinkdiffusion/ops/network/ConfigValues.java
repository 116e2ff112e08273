package io.github.flinkdiffusion.ops.network;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** What the networks' config readers share: refusing what is not supported, by name. */
final class ConfigValues {
  private ConfigValues() {}

  /** Refuses any value but null for a key whose feature is not supported. */
  static void requireAbsent(Config config, String key) {
    if (config.has(key)) {
      throw config.unsupported(key, text(config, key), "null (the feature is not supported)");
    }
  }

  /** Refuses any value but one, which is the default too. */
  static void require(Config config, String key, Object supported) {
    if (!config.has(key)) {
      return;
    }
    JsonNode node = config.node().get(key);
    boolean equal =
        supported instanceof Number number
            ? node.isNumber() && node.doubleValue() == number.doubleValue()
            : node.isValueNode() && node.asText().equals(supported.toString());
    if (!equal) {
      throw config.unsupported(key, text(config, key), supported.toString());
    }
  }

  static List<String> blockTypes(
      Config config, String key, List<String> defaults, List<String> supported) {
    List<String> types = config.strings(key, defaults);
    for (String type : types) {
      if (!supported.contains(type)) {
        throw config.unsupported(key, type, String.join(", ", supported));
      }
    }
    if (types.isEmpty()) {
      throw config.unsupported(key, types, "at least one block");
    }
    return types;
  }

  static Activation activation(Config config, String key, String defaultName) {
    String name = config.string(key, defaultName);
    return Activation.named(name)
        .orElseThrow(() -> config.unsupported(key, name, Activation.supported()));
  }

  static void requireDivisible(
      Config config, String key, List<Integer> values, int divisor, String divisorKey) {
    for (int value : values) {
      if (divisor < 1 || value < 1 || value % divisor != 0) {
        throw config.unsupported(
            key, values, "positive multiples of " + divisorKey + " (" + divisor + ")");
      }
    }
  }

  static List<Integer> boxed(int[] values) {
    return Arrays.stream(values).boxed().toList();
  }

  static List<Boolean> boxed(boolean[] values) {
    List<Boolean> list = new ArrayList<>(values.length);
    for (boolean value : values) {
      list.add(value);
    }
    return list;
  }

  private static String text(Config config, String key) {
    return config.node().get(key).toString();
  }
}
