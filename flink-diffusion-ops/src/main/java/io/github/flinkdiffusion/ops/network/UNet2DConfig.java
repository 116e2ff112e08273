package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;

/**
 * diffusers' UNet2DModel config, as far as it is supported. Names are the config's.
 *
 * @param inChannels {@code in_channels}
 * @param outChannels {@code out_channels}
 * @param blockOutChannels {@code block_out_channels}, one a resolution level
 * @param attentionDown which down levels attend ({@code down_block_types})
 * @param attentionUp which up levels attend, in the order of {@code up_block_types}
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
 * @param groups {@code norm_num_groups}
 * @param epsilon {@code norm_eps}
 * @param activation {@code act_fn}
 * @param timeScaleShift {@code resnet_time_scale_shift} is {@code scale_shift}
 * @param timeEmbedding {@code time_embedding_dim}, by default four times the first level
 * @param flipSinToCos {@code flip_sin_to_cos}
 * @param frequencyShift {@code freq_shift}
 * @param centerInput {@code center_input_sample}: the input is in 0..1 and becomes -1..1
 * @param classEmbedding what class labels are, if there are any
 */
public record UNet2DConfig(
    int inChannels,
    int outChannels,
    List<Integer> blockOutChannels,
    List<Boolean> attentionDown,
    List<Boolean> attentionUp,
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
    int timeEmbedding,
    boolean flipSinToCos,
    double frequencyShift,
    boolean centerInput,
    ClassEmbedding classEmbedding) {

  private static final String ATTENTION_DOWN = "AttnDownBlock2D";
  private static final String PLAIN_DOWN = "DownBlock2D";
  private static final String ATTENTION_UP = "AttnUpBlock2D";
  private static final String PLAIN_UP = "UpBlock2D";
  private static final String MID = "UNetMidBlock2D";
  private static final String SCALE_SHIFT = "scale_shift";
  private static final String RESNET = "resnet";
  private static final List<ClassEmbedding.Kind> CLASS_EMBEDDINGS =
      List.of(ClassEmbedding.Kind.TIMESTEP, ClassEmbedding.Kind.IDENTITY);

  public UNet2DConfig {
    blockOutChannels = List.copyOf(blockOutChannels);
    attentionDown = List.copyOf(attentionDown);
    attentionUp = List.copyOf(attentionUp);
  }

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static UNet2DConfig from(Config config) {
    ConfigValues.require(config, "time_embedding_type", "positional");
    List<String> down =
        ConfigValues.blockTypes(
            config,
            "down_block_types",
            List.of(PLAIN_DOWN, ATTENTION_DOWN, ATTENTION_DOWN, ATTENTION_DOWN),
            List.of(ATTENTION_DOWN, PLAIN_DOWN));
    List<String> up =
        ConfigValues.blockTypes(
            config,
            "up_block_types",
            List.of(ATTENTION_UP, ATTENTION_UP, ATTENTION_UP, PLAIN_UP),
            List.of(ATTENTION_UP, PLAIN_UP));
    List<Integer> channels =
        ConfigValues.boxed(config.integers("block_out_channels", new int[] {224, 448, 672, 896}));
    if (up.size() != down.size() || channels.size() != down.size()) {
      throw config.unsupported(
          "block_out_channels",
          channels,
          "one entry for each of down_block_types and up_block_types");
    }
    int groups = config.integer("norm_num_groups", 32);
    ConfigValues.requireDivisible(
        config, "block_out_channels", channels, groups, "norm_num_groups");
    if (channels.get(0) % 2 != 0) {
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
        down.stream().map(ATTENTION_DOWN::equals).toList(),
        up.stream().map(ATTENTION_UP::equals).toList(),
        hasMid,
        midAttention,
        midScale(config),
        midAttentionGroups(config, channels, scaleShift ? 0 : groups),
        ConfigValues.layers(config, "layers_per_block", 2),
        headSize(config, channels, down, up, hasMid && midAttention),
        ConfigValues.symmetricPadding(config),
        resampling(config, "downsample_type"),
        resampling(config, "upsample_type"),
        groups,
        config.number("norm_eps", 1e-5),
        ConfigValues.activation(config, "act_fn", "silu"),
        scaleShift,
        ConfigValues.positive(config, "time_embedding_dim", 4 * channels.get(0)),
        config.flag("flip_sin_to_cos", true),
        config.number("freq_shift", 0),
        config.flag("center_input_sample", false),
        ClassEmbedding.from(config, CLASS_EMBEDDINGS));
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
      List<String> down,
      List<String> up,
      boolean midAttends) {
    if (config.node().path("attention_head_dim").isNull()) {
      return 0;
    }
    int size = config.integer("attention_head_dim", 8);
    int levels = channels.size();
    for (int level = 0; level < levels; level++) {
      boolean attends =
          down.get(level).equals(ATTENTION_DOWN)
              || up.get(levels - 1 - level).equals(ATTENTION_UP)
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
        || attentionDown.contains(true)
        || attentionUp.contains(true);
  }

  /** Resolution levels. */
  int levels() {
    return blockOutChannels.size();
  }
}
