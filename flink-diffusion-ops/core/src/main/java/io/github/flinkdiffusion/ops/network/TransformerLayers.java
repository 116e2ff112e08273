/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.IntNode;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig.Middle;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * How deep a UNet2DConditionModel's attentions are: {@code transformer_layers_per_block} and {@code
 * reverse_transformer_layers_per_block}.
 *
 * @param down for each down level, of each of its attentions
 * @param up for each up level, in that order
 * @param middle of the middle's attention
 */
record TransformerLayers(List<List<Integer>> down, List<List<Integer>> up, int middle) {
  private static final String LAYERS = "transformer_layers_per_block";
  private static final String LAYERS_UP = "reverse_transformer_layers_per_block";

  /**
   * @param layers residual blocks of each level
   */
  static TransformerLayers from(Config config, UNetLevels blocks, List<Integer> layers) {
    return new TransformerLayers(
        transformerLayers(config, LAYERS, attending(blocks.down()), layers, 0),
        config.has(LAYERS_UP)
            ? transformerLayers(config, LAYERS_UP, attending(blocks.up()), reversed(layers), 1)
            : reversedLayers(config, attending(blocks.up()), layers),
        blocks.middle() == Middle.CROSS ? midLayers(config, blocks.count()) : 1);
  }

  private static List<Boolean> attending(List<UNetBlock> blocks) {
    return blocks.stream().map(UNetBlock.CROSS::equals).toList();
  }

  /**
   * One number for all, one for each level, or a list of numbers for a level. What stands at a
   * level that does not attend means nothing, as in the reference.
   *
   * @param attending which levels attend
   * @param layers residual blocks of each level
   * @param more attentions of a level beyond those
   */
  private static List<List<Integer>> transformerLayers(
      Config config, String key, List<Boolean> attending, List<Integer> layers, int more) {
    List<List<Integer>> all = new ArrayList<>();
    for (int level = 0; level < attending.size(); level++) {
      int attentions = layers.get(level) + more;
      JsonNode own = ofLevel(config, key, level, attending.size());
      all.add(
          attending.get(level)
              ? layersOfLevel(config, key, own, attentions)
              : Collections.nCopies(attentions, 1));
    }
    return List.copyOf(all);
  }

  private static JsonNode ofLevel(Config config, String key, int level, int levels) {
    JsonNode value = config.has(key) ? config.node().get(key) : IntNode.valueOf(1);
    if (value.isArray() && value.size() != levels) {
      throw config.unsupported(key, value, "one value, or a list of " + levels);
    }
    return value.isArray() ? value.get(level) : value;
  }

  private static List<Integer> layersOfLevel(
      Config config, String key, JsonNode own, int attentions) {
    List<Integer> each = new ArrayList<>();
    for (int i = 0; i < attentions; i++) {
      JsonNode one = own.isArray() ? own.path(i) : own;
      if (!one.canConvertToInt()
          || one.intValue() < 1
          || one.intValue() > ConfigValues.MOST_LAYERS
          || own.isArray() && own.size() < attentions) {
        throw config.unsupported(
            key,
            config.node().get(key),
            "1 to %d, a list of them, or lists of as many as a level has attentions"
                .formatted(ConfigValues.MOST_LAYERS));
      }
      each.add(one.intValue());
    }
    return List.copyOf(each);
  }

  /** Only a UNet whose halves are alike needs no second key. */
  private static List<List<Integer>> reversedLayers(
      Config config, List<Boolean> attendingUp, List<Integer> layers) {
    int levels = attendingUp.size();
    for (int level = 0; level < levels; level++) {
      if (ofLevel(config, LAYERS, level, levels).isArray()) {
        throw config.unsupported(
            LAYERS, config.node().get(LAYERS), "lists of lists together with " + LAYERS_UP);
      }
    }
    List<Boolean> attending = new ArrayList<>(attendingUp);
    Collections.reverse(attending);
    List<List<Integer>> up =
        new ArrayList<>(transformerLayers(config, LAYERS, attending, layers, 1));
    Collections.reverse(up);
    return up;
  }

  /** The middle block has one attention, as deep as the last level's first. */
  private static int midLayers(Config config, int levels) {
    return layersOfLevel(config, LAYERS, ofLevel(config, LAYERS, levels - 1, levels), 1).get(0);
  }

  private static List<Integer> reversed(List<Integer> layers) {
    List<Integer> reversed = new ArrayList<>(layers);
    Collections.reverse(reversed);
    return reversed;
  }
}
