/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** What the networks' config readers share: refusing what is not supported, by name. */
final class ConfigValues {
  /** Ten times the deepest there is; a config is not a reason to run out of memory. */
  static final int MOST_LAYERS = 1000;

  /** A hundred times the largest there is, and so that a few of them multiply within a long. */
  static final int LARGEST_SIZE = 1 << 24;

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
    return blockTypes(config, key, defaults, supported, "");
  }

  /**
   * @param meaningless what may stand before a name
   */
  static List<String> blockTypes(
      Config config,
      String key,
      List<String> defaults,
      List<String> supported,
      String meaningless) {
    List<String> types =
        config.strings(key, defaults).stream()
            .map(type -> type.startsWith(meaningless) ? type.substring(meaningless.length()) : type)
            .toList();
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

  /**
   * {@code block_out_channels} of an {@link ImageCoder}, whose block types have one kind only.
   *
   * @param groups {@code norm_num_groups}
   */
  static List<Integer> coderChannels(Config config, int groups) {
    List<String> down = List.of("DownEncoderBlock2D");
    List<String> up = List.of("UpDecoderBlock2D");
    List<Integer> channels =
        channelsOfLevels(
            config,
            new int[] {64},
            blockTypes(config, "down_block_types", down, down),
            blockTypes(config, "up_block_types", up, up));
    requireDivisible(config, "block_out_channels", channels, groups, "norm_num_groups");
    return channels;
  }

  /** {@code block_out_channels}: one entry for each level, down and up. */
  static List<Integer> channelsOfLevels(Config config, int[] defaults, List<?> down, List<?> up) {
    List<Integer> channels = boxed(config.integers("block_out_channels", defaults));
    if (down.size() != channels.size() || up.size() != channels.size()) {
      throw config.unsupported(
          "block_out_channels",
          channels,
          "one entry for each of down_block_types and up_block_types");
    }
    return channels;
  }

  static Activation activation(Config config, String key, String defaultName) {
    String name = config.string(key, defaultName);
    return Activation.named(name)
        .orElseThrow(() -> config.unsupported(key, name, Activation.supported()));
  }

  /** The activation that a key names, none when it is absent or null. */
  static Optional<Activation> optionalActivation(Config config, String key) {
    return config.has(key) ? Optional.of(activation(config, key, null)) : Optional.empty();
  }

  /** A size of at least one, such as a number of channels, that leaves room to compute with. */
  static int positive(Config config, String key, int defaultValue) {
    return within(config, key, config.integer(key, defaultValue), LARGEST_SIZE);
  }

  /** {@code patch_size}: pixels along a side of a patch, of which an image has one at least. */
  static int patchOfImage(Config config, int defaultValue, int imageSize) {
    int patch = config.integer("patch_size", defaultValue);
    if (patch < 1 || patch > imageSize) {
      throw config.unsupported(
          "patch_size", patch, "1 or more, at most image_size (" + imageSize + ")");
    }
    return patch;
  }

  /** {@code patch_size} of a sample that is cut into patches without a rest. */
  static int patchOfSample(Config config, int defaultValue, int sampleSize, int mostPatches) {
    int patch = positive(config, "patch_size", defaultValue);
    if (sampleSize % patch != 0 || sampleSize / patch > mostPatches) {
      throw config.unsupported(
          "patch_size",
          patch,
          "a divisor of sample_size (%d) that leaves at most %d patches a side"
              .formatted(sampleSize, mostPatches));
    }
    return patch;
  }

  /** A number of layers, for each of which a graph grows. */
  static int layers(Config config, String key, int defaultValue) {
    return within(config, key, config.integer(key, defaultValue), MOST_LAYERS);
  }

  /** Numbers of layers, given as a list or one for all levels. */
  static List<Integer> layersOfLevels(Config config, String key, int levels, int defaultValue) {
    List<Integer> layers = boxed(config.integersOrOne(key, levels, defaultValue));
    layers.forEach(count -> within(config, key, count, MOST_LAYERS));
    return layers;
  }

  /** Numbers of layers, one a level; the list says how many levels there are. */
  static List<Integer> layersListed(Config config, String key, int[] defaults) {
    List<Integer> layers = boxed(config.integers(key, defaults));
    layers.forEach(count -> within(config, key, count, MOST_LAYERS));
    return layers;
  }

  /** Whether {@code downsample_padding} is 1; 0 pads on the right and below. */
  static boolean symmetricPadding(Config config) {
    int padding = config.integer("downsample_padding", 1);
    if (padding != 0 && padding != 1) {
      throw config.unsupported("downsample_padding", padding, "0, 1");
    }
    return padding == 1;
  }

  private static int within(Config config, String key, int value, int most) {
    if (value < 1 || value > most) {
      throw config.unsupported(key, value, "1 to " + most);
    }
    return value;
  }

  /** One of a few words. */
  static String oneOf(Config config, String key, String defaultValue, List<String> supported) {
    String value = config.string(key, defaultValue);
    if (!supported.contains(value)) {
      throw config.unsupported(key, value, String.join(", ", supported));
    }
    return value;
  }

  /** {@code num_attention_heads}, a divisor of {@code hidden_size}. */
  static int heads(Config config, int defaultValue, int hiddenSize) {
    int heads = config.integer("num_attention_heads", defaultValue);
    if (heads < 1 || hiddenSize % heads != 0) {
      throw config.unsupported(
          "num_attention_heads", heads, "a divisor of hidden_size (" + hiddenSize + ")");
    }
    return heads;
  }

  static void requireDivisible(
      Config config, String key, List<Integer> values, int divisor, String divisorKey) {
    for (int value : values) {
      if (divisor < 1 || value < 1 || value > LARGEST_SIZE || value % divisor != 0) {
        throw config.unsupported(
            key,
            values,
            "multiples of %s (%d) up to %d".formatted(divisorKey, divisor, LARGEST_SIZE));
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
