package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.weights.Config;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * diffusers' UNet2DConditionModel config, as far as it is supported. Names are the config's.
 *
 * @param inChannels {@code in_channels}
 * @param outChannels {@code out_channels}
 * @param blockOutChannels {@code block_out_channels}, one a resolution level
 * @param crossAttentionDown which down levels have attention ({@code down_block_types})
 * @param crossAttentionUp which up levels have attention, in the order of {@code up_block_types}
 * @param hasMidBlock false when {@code mid_block_type} is null
 * @param layersPerBlock {@code layers_per_block} of each level
 * @param heads attention heads of each level; the config calls it {@code attention_head_dim}
 * @param crossAttentionDim {@code cross_attention_dim}; in a list for the levels, those that attend
 *     agree, since all see one context
 * @param transformerLayers {@code transformer_layers_per_block} of each level
 * @param onlyCrossAttention {@code only_cross_attention} of each level
 * @param linearProjection {@code use_linear_projection}
 * @param upcastAttention {@code upcast_attention}
 * @param symmetricPadding {@code downsample_padding} is 1; else the image is padded on the right
 *     and below
 * @param groups {@code norm_num_groups}
 * @param epsilon {@code norm_eps}
 * @param activation {@code act_fn}
 * @param flipSinToCos {@code flip_sin_to_cos}
 * @param frequencyShift {@code freq_shift}
 * @param timeScaleShift {@code resnet_time_scale_shift} is {@code scale_shift}
 * @param convInKernel {@code conv_in_kernel}, odd
 * @param convOutKernel {@code conv_out_kernel}, odd
 * @param centerInput {@code center_input_sample}: the input is in 0..1 and becomes -1..1
 * @param timeActivation {@code timestep_post_act}, if any
 * @param guidanceEmbedding {@code time_cond_proj_dim}: size of the embedded guidance scale that
 *     distilled networks (LCM) take, 0 for none
 * @param classEmbedding what class labels are, if there are any
 * @param textTime what {@code addition_embed_type} {@code text_time} (SDXL) adds, if it does
 */
public record UNet2DConditionConfig(
    int inChannels,
    int outChannels,
    List<Integer> blockOutChannels,
    List<Boolean> crossAttentionDown,
    List<Boolean> crossAttentionUp,
    boolean hasMidBlock,
    List<Integer> layersPerBlock,
    List<Integer> heads,
    int crossAttentionDim,
    List<Integer> transformerLayers,
    List<Boolean> onlyCrossAttention,
    boolean linearProjection,
    boolean upcastAttention,
    boolean symmetricPadding,
    int groups,
    double epsilon,
    Activation activation,
    boolean flipSinToCos,
    double frequencyShift,
    boolean timeScaleShift,
    int convInKernel,
    int convOutKernel,
    boolean centerInput,
    Optional<Activation> timeActivation,
    int guidanceEmbedding,
    ClassEmbedding classEmbedding,
    Optional<TextTime> textTime) {

  /**
   * SDXL's second condition: a pooled text and the sizes the picture had and shall have.
   *
   * @param timeSize {@code addition_time_embed_dim}: size of one embedded number
   * @param inputSize {@code projection_class_embeddings_input_dim}: size of the pooled text and all
   *     embedded numbers together
   */
  public record TextTime(int timeSize, int inputSize) {}

  public UNet2DConditionConfig {
    blockOutChannels = List.copyOf(blockOutChannels);
    crossAttentionDown = List.copyOf(crossAttentionDown);
    crossAttentionUp = List.copyOf(crossAttentionUp);
    layersPerBlock = List.copyOf(layersPerBlock);
    heads = List.copyOf(heads);
    transformerLayers = List.copyOf(transformerLayers);
    onlyCrossAttention = List.copyOf(onlyCrossAttention);
  }

  private static final String CROSS_DOWN = "CrossAttnDownBlock2D";
  private static final String PLAIN_DOWN = "DownBlock2D";
  private static final String CROSS_UP = "CrossAttnUpBlock2D";
  private static final String PLAIN_UP = "UpBlock2D";
  private static final String CROSS_MID = "UNetMidBlock2DCrossAttn";
  private static final String SCALE_SHIFT = "scale_shift";
  private static final List<ClassEmbedding.Kind> CLASS_EMBEDDINGS =
      List.of(
          ClassEmbedding.Kind.TIMESTEP,
          ClassEmbedding.Kind.PROJECTION,
          ClassEmbedding.Kind.IDENTITY);

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static UNet2DConditionConfig from(Config config) {
    for (String key :
        List.of(
            "encoder_hid_dim",
            "encoder_hid_dim_type",
            "time_embedding_dim",
            "time_embedding_act_fn",
            "cross_attention_norm",
            "num_attention_heads",
            "reverse_transformer_layers_per_block")) {
      ConfigValues.requireAbsent(config, key);
    }
    ConfigValues.require(config, "attention_type", "default");
    ConfigValues.require(config, "time_embedding_type", "positional");
    ConfigValues.require(config, "mid_block_scale_factor", 1);
    ConfigValues.require(config, "resnet_out_scale_factor", 1);
    ConfigValues.require(config, "dual_cross_attention", false);
    ConfigValues.require(config, "class_embeddings_concat", false);
    ConfigValues.require(config, "resnet_skip_time_act", false);
    List<String> down =
        ConfigValues.blockTypes(
            config,
            "down_block_types",
            List.of(CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, PLAIN_DOWN),
            List.of(CROSS_DOWN, PLAIN_DOWN));
    List<String> up =
        ConfigValues.blockTypes(
            config,
            "up_block_types",
            List.of(PLAIN_UP, CROSS_UP, CROSS_UP, CROSS_UP),
            List.of(CROSS_UP, PLAIN_UP));
    int levels = down.size();
    List<Integer> channels =
        ConfigValues.boxed(config.integers("block_out_channels", new int[] {320, 640, 1280, 1280}));
    if (up.size() != levels || channels.size() != levels) {
      throw config.unsupported(
          "block_out_channels",
          channels,
          "one entry for each of down_block_types and up_block_types");
    }
    // Old configs omit the key; a null that is written down means that there is no middle block.
    boolean hasMid = !config.node().path("mid_block_type").isNull();
    if (hasMid && !config.string("mid_block_type", CROSS_MID).equals(CROSS_MID)) {
      throw config.unsupported(
          "mid_block_type", config.string("mid_block_type"), CROSS_MID + " or null");
    }
    int groups = config.integer("norm_num_groups", 32);
    ConfigValues.requireDivisible(
        config, "block_out_channels", channels, groups, "norm_num_groups");
    List<Integer> heads = ConfigValues.boxed(config.integersOrOne("attention_head_dim", levels, 8));
    for (int i = 0; i < levels; i++) {
      if (heads.get(i) < 1 || channels.get(i) % heads.get(i) != 0) {
        throw config.unsupported(
            "attention_head_dim",
            heads,
            "numbers of heads (as this key really means) that divide block_out_channels "
                + channels);
      }
    }
    return new UNet2DConditionConfig(
        ConfigValues.positive(config, "in_channels", 4),
        ConfigValues.positive(config, "out_channels", 4),
        channels,
        down.stream().map(CROSS_DOWN::equals).toList(),
        up.stream().map(CROSS_UP::equals).toList(),
        hasMid,
        ConfigValues.layersOfLevels(config, "layers_per_block", levels, 2),
        heads,
        crossAttentionDim(config, down, up, hasMid),
        ConfigValues.layersOfLevels(config, "transformer_layers_per_block", levels, 1),
        ConfigValues.boxed(config.flagsOrOne("only_cross_attention", levels, false)),
        config.flag("use_linear_projection", false),
        config.flag("upcast_attention", false),
        ConfigValues.symmetricPadding(config),
        groups,
        config.number("norm_eps", 1e-5),
        ConfigValues.activation(config, "act_fn", "silu"),
        config.flag("flip_sin_to_cos", true),
        config.number("freq_shift", 0),
        ConfigValues.oneOf(
                config, "resnet_time_scale_shift", "default", List.of("default", SCALE_SHIFT))
            .equals(SCALE_SHIFT),
        kernel(config, "conv_in_kernel"),
        kernel(config, "conv_out_kernel"),
        config.flag("center_input_sample", false),
        ConfigValues.optionalActivation(config, "timestep_post_act"),
        config.has("time_cond_proj_dim")
            ? ConfigValues.positive(config, "time_cond_proj_dim", 1)
            : 0,
        ClassEmbedding.from(config, CLASS_EMBEDDINGS),
        textTime(config));
  }

  private static int crossAttentionDim(
      Config config, List<String> down, List<String> up, boolean hasMid) {
    int levels = down.size();
    int[] sizes = config.integersOrOne("cross_attention_dim", levels, 1280);
    int size = 0;
    for (int level = 0; level < levels; level++) {
      boolean attends =
          down.get(level).equals(CROSS_DOWN)
              || up.get(levels - 1 - level).equals(CROSS_UP)
              || hasMid && level == levels - 1;
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

  private static int kernel(Config config, String key) {
    int kernel = config.integer(key, 3);
    if (kernel < 1 || kernel % 2 == 0) {
      throw config.unsupported(key, kernel, "an odd number, so that the picture keeps its size");
    }
    return kernel;
  }

  private static Optional<TextTime> textTime(Config config) {
    if (!config.has("addition_embed_type")) {
      return Optional.empty();
    }
    ConfigValues.oneOf(config, "addition_embed_type", null, List.of("text_time"));
    int timeSize = ConfigValues.positive(config, "addition_time_embed_dim", 0);
    if (timeSize < 2 || timeSize % 2 != 0) {
      throw config.unsupported("addition_time_embed_dim", timeSize, "a positive even number");
    }
    return Optional.of(
        new TextTime(
            timeSize, ConfigValues.positive(config, "projection_class_embeddings_input_dim", 0)));
  }

  /** Resolution levels. */
  int levels() {
    return blockOutChannels.size();
  }

  /** Size of the time embedding: four times the first level, as diffusers has it. */
  int timeEmbedding() {
    return 4 * blockOutChannels.get(0);
  }
}
