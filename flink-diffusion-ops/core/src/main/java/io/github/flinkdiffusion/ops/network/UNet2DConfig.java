/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' UNet2DModel config, as far as it is supported. Names are the config's.
 *
 * @param inChannels {@code in_channels}
 * @param outChannels {@code out_channels}
 * @param blockOutChannels {@code block_out_channels}, one a resolution level
 * @param down {@code down_block_types}
 * @param up {@code up_block_types}, in that order
 * @param hasMidBlock false when {@code mid_block_type} is null
 * @param midAttention {@code add_attention}: the middle attends
 * @param midScale {@code mid_block_scale_factor}
 * @param midAttentionGroups groups of the norm before the middle's attention, 0 for no norm
 * @param layersPerBlock {@code layers_per_block}
 * @param headSize {@code attention_head_dim}: channels of one head, 0 for one head over all
 * @param symmetricPadding {@code downsample_padding} is 1; else the picture is padded on the right
 *     and below
 * @param resnetDownsampling {@code downsample_type} of levels that attend is {@code resnet}
 * @param resnetUpsampling {@code upsample_type} of levels that attend is {@code resnet}
 * @param groups {@code norm_num_groups}, 0 where it is null: a quarter of the channels, at most 32
 * @param epsilon {@code norm_eps}
 * @param activation {@code act_fn}
 * @param timeScaleShift {@code resnet_time_scale_shift} is {@code scale_shift}
 * @param fourier {@code time_embedding_type} is {@code fourier}: timesteps are noise levels, by
 *     which the result is divided
 * @param timeEmbedding {@code time_embedding_dim}, by default four times the first level
 * @param flipSinToCos {@code flip_sin_to_cos}
 * @param frequencyShift {@code freq_shift}
 * @param centerInput {@code center_input_sample}: the input is in 0..1 and becomes -1..1
 * @param classEmbedding what class labels are, if there are any
 */
@Internal
public record UNet2DConfig(
    int inChannels,
    int outChannels,
    List<Integer> blockOutChannels,
    List<UNetBlock> down,
    List<UNetBlock> up,
    boolean hasMidBlock,
    boolean midAttention,
    double midScale,
    int midAttentionGroups,
    int layersPerBlock,
    int headSize,
    boolean symmetricPadding,
    boolean resnetDownsampling,
    boolean resnetUpsampling,
    int groups,
    double epsilon,
    Activation activation,
    boolean timeScaleShift,
    boolean fourier,
    int timeEmbedding,
    boolean flipSinToCos,
    double frequencyShift,
    boolean centerInput,
    ClassEmbedding classEmbedding) {

  private static final List<UNetBlock> BLOCKS =
      List.of(
          UNetBlock.ATTENTION,
          UNetBlock.PLAIN,
          UNetBlock.RESNET,
          UNetBlock.SKIP,
          UNetBlock.ATTENTION_SKIP);

  /** Channels of the copy that {@link UNetBlock#skips} carries; the reference has no key for it. */
  static final int SKIPPED = 3;

  /** Groups of the norm before the attention of {@link UNetBlock#ATTENTION_SKIP}. */
  static final int SKIP_ATTENTION_GROUPS = 32;

  private static final String FOURIER = "fourier";
  private static final String MID = "UNetMidBlock2D";
  private static final String SCALE_SHIFT = "scale_shift";
  private static final String RESNET = "resnet";
  private static final List<ClassEmbedding.Kind> CLASS_EMBEDDINGS =
      List.of(ClassEmbedding.Kind.TIMESTEP, ClassEmbedding.Kind.IDENTITY);

  public UNet2DConfig {
    blockOutChannels = List.copyOf(blockOutChannels);
    down = List.copyOf(down);
    up = List.copyOf(up);
  }

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static UNet2DConfig from(Config config) {
    boolean fourier =
        ConfigValues.oneOf(
                config, "time_embedding_type", "positional", List.of("positional", FOURIER))
            .equals(FOURIER);
    List<UNetBlock> down =
        UNetBlock.down(
            config,
            List.of(UNetBlock.PLAIN, UNetBlock.ATTENTION, UNetBlock.ATTENTION, UNetBlock.ATTENTION),
            BLOCKS);
    List<UNetBlock> up =
        UNetBlock.up(
            config,
            List.of(UNetBlock.ATTENTION, UNetBlock.ATTENTION, UNetBlock.ATTENTION, UNetBlock.PLAIN),
            BLOCKS);
    List<Integer> channels =
        ConfigValues.channelsOfLevels(config, new int[] {224, 448, 672, 896}, down, up);
    int layers = ConfigValues.layers(config, "layers_per_block", 2);
    int groups = groups(config, channels, down, up);
    checkSkips(config, channels, down, up, layers);
    if (!fourier && channels.get(0) % 2 != 0) {
      throw config.unsupported(
          "block_out_channels", channels, "an even first entry, the size of the time embedding");
    }
    // Old configs omit the key; a null that is written down means that there is no middle block.
    boolean hasMid = !config.node().path("mid_block_type").isNull();
    if (hasMid) {
      ConfigValues.require(config, "mid_block_type", MID);
    }
    boolean midAttention = config.flag("add_attention", true);
    boolean scaleShift =
        ConfigValues.oneOf(
                config, "resnet_time_scale_shift", "default", List.of("default", SCALE_SHIFT))
            .equals(SCALE_SHIFT);
    return new UNet2DConfig(
        ConfigValues.positive(config, "in_channels", 3),
        ConfigValues.positive(config, "out_channels", 3),
        channels,
        down,
        up,
        hasMid,
        midAttention,
        midScale(config),
        midAttentionGroups(
            config, channels, scaleShift ? 0 : groupsOf(groups, channels.get(channels.size() - 1))),
        layers,
        headSize(config, channels, down, up, hasMid && midAttention),
        ConfigValues.symmetricPadding(config),
        resampling(config, "downsample_type"),
        resampling(config, "upsample_type"),
        groups,
        config.number("norm_eps", 1e-5),
        ConfigValues.activation(config, "act_fn", "silu"),
        scaleShift,
        fourier,
        ConfigValues.positive(config, "time_embedding_dim", 4 * channels.get(0)),
        config.flag("flip_sin_to_cos", true),
        config.number("freq_shift", 0),
        config.flag("center_input_sample", false),
        ClassEmbedding.from(config, CLASS_EMBEDDINGS));
  }

  /** A null that is written down leaves it to blocks that know what to do without. */
  private static int groups(
      Config config, List<Integer> channels, List<UNetBlock> down, List<UNetBlock> up) {
    if (config.node().path("norm_num_groups").isNull()) {
      if (!down.stream().allMatch(UNetBlock::skips) || !up.stream().allMatch(UNetBlock::skips)) {
        throw config.unsupported(
            "norm_num_groups", null, "a whole number with blocks other than Skip and AttnSkip");
      }
      int last = channels.get(channels.size() - 1);
      for (int each : List.of(channels.get(0), last)) {
        if (each > ConfigValues.LARGEST_SIZE || each < 4 || each % quarter(each) != 0) {
          throw config.unsupported("block_out_channels", channels, DIVISIBLE_BY_QUARTER);
        }
      }
      return 0;
    }
    int groups = config.integer("norm_num_groups", 32);
    ConfigValues.requireDivisible(
        config, "block_out_channels", channels, groups, "norm_num_groups");
    return groups;
  }

  private static final String DIVISIBLE_BY_QUARTER =
      "numbers that, as their sums on the way up, are divisible by a quarter of themselves, at most"
          + " 32, and by 32 where AttnSkip blocks attend";

  /** What NCSN++'s blocks take for granted. */
  private static void checkSkips(
      Config config, List<Integer> channels, List<UNetBlock> down, List<UNetBlock> up, int layers) {
    int levels = channels.size();
    boolean otherBefore = false;
    int in = channels.get(0);
    Deque<Integer> skips = new ArrayDeque<>(List.of(in));
    for (int level = 0; level < levels; level++) {
      UNetBlock block = down.get(level);
      boolean resamples = level < levels - 1;
      if (block.skips()) {
        checkDivisible(config, channels, in, quarter(in));
        checkDivisible(config, channels, channels.get(level), quarter(channels.get(level)));
        if (resamples && otherBefore) {
          throw config.unsupported(
              "down_block_types", block, "no other blocks before Skip and AttnSkip blocks");
        }
        if (resamples && config.integer("in_channels", 3) != SKIPPED) {
          throw config.unsupported(
              "in_channels", config.integer("in_channels", 3), SKIPPED + " with Skip blocks");
        }
        if (block == UNetBlock.ATTENTION_SKIP) {
          checkDivisible(config, channels, channels.get(level), SKIP_ATTENTION_GROUPS);
        }
      }
      otherBefore |= !block.skips();
      in = channels.get(level);
      for (int i = 0; i < layers + (resamples ? 1 : 0); i++) {
        skips.push(in);
      }
    }
    boolean skipped = false;
    for (int i = 0; i < levels; i++) {
      UNetBlock block = up.get(i);
      int out = channels.get(levels - 1 - i);
      for (int layer = 0; layer <= layers; layer++) {
        int skip = skips.pop();
        if (block.skips()) {
          checkDivisible(config, channels, in + skip, upGroups(block, in, skip));
          checkDivisible(config, channels, out, quarter(out));
        }
        in = out;
      }
      if (block == UNetBlock.ATTENTION_SKIP) {
        checkDivisible(config, channels, out, SKIP_ATTENTION_GROUPS);
      }
      if (skipped && !block.skips()) {
        throw config.unsupported(
            "up_block_types", block, "Skip and AttnSkip blocks after the first of them");
      }
      skipped |= block.skips() && i < levels - 1;
    }
    if (skipped && config.integer("out_channels", 3) != SKIPPED) {
      throw config.unsupported(
          "out_channels", config.integer("out_channels", 3), SKIPPED + " with Skip blocks");
    }
  }

  private static void checkDivisible(
      Config config, List<Integer> channels, int value, int divisor) {
    if (divisor < 1 || value % divisor != 0) {
      throw config.unsupported("block_out_channels", channels, DIVISIBLE_BY_QUARTER);
    }
  }

  /** Groups of the norms in NCSN++'s blocks. */
  static int quarter(int channels) {
    return Math.min(channels / 4, 32);
  }

  /**
   * Groups of a residual block's first norm on the way up: where it attends, the reference takes a
   * quarter of the skipped channels alone.
   */
  static int upGroups(UNetBlock block, int channels, int skipped) {
    return block == UNetBlock.ATTENTION_SKIP
        ? Math.min(channels + skipped / 4, 32)
        : quarter(channels + skipped);
  }

  private static int groupsOf(int groups, int channels) {
    return groups == 0 ? quarter(channels) : groups;
  }

  /** Groups of the norms of that many channels, outside of NCSN++'s blocks. */
  int groupsOf(int channels) {
    return groupsOf(groups, channels);
  }

  /** Size of the embedded timestep before its layers. */
  int timeInput() {
    return (fourier ? 2 : 1) * blockOutChannels.get(0);
  }

  private static double midScale(Config config) {
    double scale = config.number("mid_block_scale_factor", 1);
    if (scale == 0) {
      throw config.unsupported("mid_block_scale_factor", scale, "a number other than 0");
    }
    return scale;
  }

  private static int midAttentionGroups(Config config, List<Integer> channels, int defaultValue) {
    if (!config.has("attn_norm_num_groups")) {
      return defaultValue;
    }
    int groups = config.integer("attn_norm_num_groups");
    int last = channels.get(channels.size() - 1);
    if (groups < 1 || last % groups != 0) {
      throw config.unsupported(
          "attn_norm_num_groups",
          groups,
          "a divisor of the last of block_out_channels (" + last + ")");
    }
    return groups;
  }

  /**
   * An absent key is 8, a null that is written down means one head of all channels.
   *
   * @param midAttends whether the middle has attention
   */
  private static int headSize(
      Config config,
      List<Integer> channels,
      List<UNetBlock> down,
      List<UNetBlock> up,
      boolean midAttends) {
    if (config.node().path("attention_head_dim").isNull()) {
      return 0;
    }
    int size = config.integer("attention_head_dim", 8);
    int levels = channels.size();
    for (int level = 0; level < levels; level++) {
      boolean attends =
          down.get(level).seesPixels()
              || up.get(levels - 1 - level).seesPixels()
              || (midAttends && level == levels - 1);
      if (size < 1 || (attends && channels.get(level) % size != 0)) {
        throw config.unsupported(
            "attention_head_dim",
            size,
            "null or a divisor of those block_out_channels " + channels + " that attend");
      }
    }
    return size;
  }

  private static boolean resampling(Config config, String key) {
    return ConfigValues.oneOf(config, key, "conv", List.of("conv", RESNET)).equals(RESNET);
  }

  /** Whether what is far away in a picture matters. */
  public boolean attends() {
    return (hasMidBlock && midAttention)
        || down.stream().anyMatch(UNetBlock::seesPixels)
        || up.stream().anyMatch(UNetBlock::seesPixels);
  }

  /** Resolution levels. */
  int levels() {
    return blockOutChannels.size();
  }

  /**
   * Refuses a network that takes a class.
   *
   * @param pipeline what the pipeline has in place of it, for the message
   */
  public void requireNoClasses(Config config, String pipeline) {
    if (classEmbedding.exists()) {
      throw config.unsupported(
          "class_embed_type",
          config.node().get("class_embed_type"),
          "null in a pipeline " + pipeline);
    }
  }
}
