/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig.Middle;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The blocks of a UNet2DConditionModel's resolution levels, and what other keys of its config must
 * be to fit them.
 *
 * @param channels {@code block_out_channels}, one a level
 * @param down {@code down_block_types}
 * @param up {@code up_block_types}, in that order
 * @param middle {@code mid_block_type}
 */
record UNetLevels(List<Integer> channels, List<UNetBlock> down, List<UNetBlock> up, Middle middle) {
  private static final List<UNetBlock> BLOCKS =
      List.of(
          UNetBlock.CROSS,
          UNetBlock.PLAIN,
          UNetBlock.SIMPLE_CROSS,
          UNetBlock.RESNET,
          UNetBlock.K,
          UNetBlock.K_CROSS);

  static UNetLevels from(Config config) {
    List<UNetBlock> down =
        UNetBlock.down(
            config,
            List.of(UNetBlock.CROSS, UNetBlock.CROSS, UNetBlock.CROSS, UNetBlock.PLAIN),
            BLOCKS);
    List<UNetBlock> up =
        UNetBlock.up(
            config,
            List.of(UNetBlock.PLAIN, UNetBlock.CROSS, UNetBlock.CROSS, UNetBlock.CROSS),
            BLOCKS);
    List<Integer> channels =
        ConfigValues.channelsOfLevels(config, new int[] {320, 640, 1280, 1280}, down, up);
    boolean k = down.get(0).isK();
    if (!down.stream().allMatch(block -> block.isK() == k)
        || !up.stream().allMatch(block -> block.isK() == k)) {
      throw config.unsupported(
          "up_block_types",
          config.strings("up_block_types", List.of()),
          "K blocks alone where down_block_types has one, and none where it has another");
    }
    return new UNetLevels(channels, down, up, Middle.from(config));
  }

  int count() {
    return channels.size();
  }

  /** Whether the levels are {@link KLevels}; their skip connections fit no other blocks. */
  private boolean k() {
    return down.get(0).isK();
  }

  /** Groups of the norms that are not {@link KLevels}' own; 0 where there are none. */
  int groups(Config config) {
    if (!config.node().path("norm_num_groups").isNull()) {
      int groups = config.integer("norm_num_groups", 32);
      if (groups > 0) {
        ConfigValues.requireDivisible(
            config, "block_out_channels", channels, groups, "norm_num_groups");
      }
      return groups;
    }
    if (!k() || middle != Middle.NONE) {
      throw config.unsupported(
          "norm_num_groups", null, "a whole number, or null with K blocks and no middle block");
    }
    return 0;
  }

  /**
   * {@code attention_head_dim} of each level.
   *
   * <p>For {@link UNetBlock#SIMPLE_CROSS} and {@link UNetBlock#K_CROSS} on the way up, the
   * reference does not reverse the list, as it does for everything else. The latter end in the next
   * level's channels.
   */
  List<Integer> heads(Config config) {
    int levels = count();
    List<Integer> heads = ConfigValues.boxed(config.integersOrOne("attention_head_dim", levels, 8));
    for (int i = 0; i < levels; i++) {
      int count = heads.get(i);
      boolean divides = count > 0 && channels.get(i) % count == 0;
      int level = levels - 1 - i;
      if (up.get(i) == UNetBlock.SIMPLE_CROSS || up.get(i) == UNetBlock.K_CROSS) {
        divides &= count > 0 && channels.get(level) % count == 0;
      }
      if (up.get(i) == UNetBlock.K_CROSS) {
        divides &= count > 0 && channels.get(Math.max(0, level - 1)) % count == 0;
      }
      if (!divides) {
        throw config.unsupported(
            "attention_head_dim",
            heads,
            "numbers of heads (of a head's channels in SimpleCrossAttn and K blocks) that divide"
                + " block_out_channels "
                + channels);
      }
    }
    return heads;
  }

  /** {@code cross_attention_dim}; levels that attend agree, since all see one context. */
  int crossAttentionDim(Config config) {
    int levels = count();
    int[] sizes = config.integersOrOne("cross_attention_dim", levels, 1280);
    int size = 0;
    for (int level = 0; level < levels; level++) {
      boolean attends =
          down.get(level).seesContext()
              || up.get(levels - 1 - level).seesContext()
              || middle.seesContext() && level == levels - 1;
      if (sizes[level] < 1
          || sizes[level] > ConfigValues.LARGEST_SIZE
          || attends && size != 0 && sizes[level] != size) {
        throw config.unsupported(
            "cross_attention_dim",
            Arrays.toString(sizes),
            "1 to %d, or a list with the same for each level that attends"
                .formatted(ConfigValues.LARGEST_SIZE));
      }
      size = attends || size == 0 ? sizes[level] : size;
    }
    return size;
  }

  /** {@code cross_attention_norm} of {@link UNetBlock#SIMPLE_CROSS}. */
  AddedKvAttention.ContextNorm contextNorm(Config config, int crossAttentionDim) {
    int levels = count();
    List<Integer> attending = new ArrayList<>();
    for (int i = 0; i < levels; i++) {
      if (down.get(i) == UNetBlock.SIMPLE_CROSS
          || up.get(levels - 1 - i) == UNetBlock.SIMPLE_CROSS
          || middle == Middle.SIMPLE_CROSS && i == levels - 1) {
        attending.add(channels.get(i));
      }
    }
    // To other blocks the key means nothing.
    if (attending.isEmpty() || !config.has("cross_attention_norm")) {
      return AddedKvAttention.ContextNorm.NONE;
    }
    AddedKvAttention.ContextNorm norm =
        ConfigValues.oneOf(
                    config, "cross_attention_norm", null, List.of("layer_norm", "group_norm"))
                .equals("layer_norm")
            ? AddedKvAttention.ContextNorm.LAYER_NORM
            : AddedKvAttention.ContextNorm.GROUP_NORM;
    boolean fits =
        norm == AddedKvAttention.ContextNorm.LAYER_NORM
            ? attending.stream().allMatch(each -> each == crossAttentionDim)
            : crossAttentionDim % AddedKvAttention.CONTEXT_GROUPS == 0;
    if (!fits) {
      throw config.unsupported(
          "cross_attention_norm",
          config.string("cross_attention_norm"),
          "null, layer_norm where cross_attention_dim (%d) is block_out_channels of each level that attends, or group_norm where it is a multiple of %d"
              .formatted(crossAttentionDim, AddedKvAttention.CONTEXT_GROUPS));
    }
    return norm;
  }

  /** The reference builds other combinations, too, and fails when it runs them. */
  void checkK(Config config, int timeEmbedding) {
    if (!k()) {
      return;
    }
    int last = channels.size() - 1;
    for (int level = 0; level <= last; level++) {
      boolean skipped = level < last || KLevels.skipsAtBottom(down);
      int width = channels.get(level);
      int end = channels.get(Math.max(0, level - 1));
      if (!KLevels.areGrouped(width)
          || !KLevels.areGrouped(2 * width)
          || up.get(last - level) == UNetBlock.K && end % KLevels.groups(width) != 0) {
        throw config.unsupported(
            "block_out_channels",
            channels,
            "with K blocks, widths that divide into groups of about " + KLevels.GROUP_SIZE);
      }
      boolean fits =
          up.get(last - level) == UNetBlock.K
              ? skipped
              : skipped != KLevels.isFirst(channels, level, timeEmbedding);
      if (!fits) {
        throw config.unsupported(
            "up_block_types",
            config.strings("up_block_types", List.of()),
            ("with K blocks, a first one that attends where the last of down_block_types does, and"
                    + " as many block_out_channels in the last two levels as the time embedding, %d,"
                    + " there and nowhere else")
                .formatted(timeEmbedding));
      }
    }
  }
}
