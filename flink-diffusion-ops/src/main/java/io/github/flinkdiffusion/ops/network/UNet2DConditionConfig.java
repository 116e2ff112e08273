package io.github.flinkdiffusion.ops.network;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.IntNode;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
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
 * @param midAttends false when {@code mid_block_type} is {@code UNetMidBlock2D}: one residual block
 * @param midScale {@code mid_block_scale_factor}
 * @param layersPerBlock {@code layers_per_block} of each level
 * @param heads attention heads of each level; the config calls it {@code attention_head_dim}
 * @param crossAttentionDim {@code cross_attention_dim}; in a list for the levels, those that attend
 *     agree, since all see one context
 * @param contextProjection {@code encoder_hid_dim}: size of a token before it is projected to the
 *     context ({@code encoder_hid_dim_type} {@code text_proj}), 0 for none
 * @param transformerLayers {@code transformer_layers_per_block}: for each down level, of each of
 *     its attentions
 * @param transformerLayersUp the same for the up levels, in their order; {@code
 *     reverse_transformer_layers_per_block} where that is given
 * @param transformerLayersMid of the middle's attention
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
 * @param timeEmbedding {@code time_embedding_dim}, by default four times the first level
 * @param timeActivation {@code timestep_post_act}, if any
 * @param embeddingActivation {@code time_embedding_act_fn}, if any: of the sum of all embeddings
 * @param guidanceEmbedding {@code time_cond_proj_dim}: size of the embedded guidance scale that
 *     distilled networks (LCM) take, 0 for none
 * @param classEmbedding what class labels are, if there are any
 * @param classConcatenated {@code class_embeddings_concat}: the embedded label stands beside the
 *     time embedding, where it is else added to it
 * @param textTime what {@code addition_embed_type} {@code text_time} (SDXL) adds, if it does
 */
public record UNet2DConditionConfig(
    int inChannels,
    int outChannels,
    List<Integer> blockOutChannels,
    List<Boolean> crossAttentionDown,
    List<Boolean> crossAttentionUp,
    boolean hasMidBlock,
    boolean midAttends,
    double midScale,
    List<Integer> layersPerBlock,
    List<Integer> heads,
    int crossAttentionDim,
    int contextProjection,
    List<List<Integer>> transformerLayers,
    List<List<Integer>> transformerLayersUp,
    int transformerLayersMid,
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
    int timeEmbedding,
    Optional<Activation> timeActivation,
    Optional<Activation> embeddingActivation,
    int guidanceEmbedding,
    ClassEmbedding classEmbedding,
    boolean classConcatenated,
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
    transformerLayersUp = List.copyOf(transformerLayersUp);
    onlyCrossAttention = List.copyOf(onlyCrossAttention);
  }

  private static final String CROSS_DOWN = "CrossAttnDownBlock2D";
  private static final String PLAIN_DOWN = "DownBlock2D";
  private static final String CROSS_UP = "CrossAttnUpBlock2D";
  private static final String PLAIN_UP = "UpBlock2D";
  private static final String CROSS_MID = "UNetMidBlock2DCrossAttn";
  private static final String PLAIN_MID = "UNetMidBlock2D";
  private static final String LAYERS = "transformer_layers_per_block";
  private static final String LAYERS_UP = "reverse_transformer_layers_per_block";
  private static final String SCALE_SHIFT = "scale_shift";
  private static final List<ClassEmbedding.Kind> CLASS_EMBEDDINGS =
      List.of(
          ClassEmbedding.Kind.TIMESTEP,
          ClassEmbedding.Kind.PROJECTION,
          ClassEmbedding.Kind.SIMPLE_PROJECTION,
          ClassEmbedding.Kind.IDENTITY);

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static UNet2DConditionConfig from(Config config) {
    // Keys of other blocks alone, resnet_out_scale_factor say, mean nothing to these.
    ConfigValues.requireAbsent(config, "num_attention_heads");
    ConfigValues.require(config, "attention_type", "default");
    ConfigValues.require(config, "time_embedding_type", "positional");
    ConfigValues.require(config, "dual_cross_attention", false);
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
    String mid = config.string("mid_block_type", CROSS_MID);
    if (hasMid && !mid.equals(CROSS_MID) && !mid.equals(PLAIN_MID)) {
      throw config.unsupported("mid_block_type", mid, CROSS_MID + ", " + PLAIN_MID + " or null");
    }
    boolean midAttends = hasMid && mid.equals(CROSS_MID);
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
    List<Integer> layers = ConfigValues.layersOfLevels(config, "layers_per_block", levels, 2);
    ClassEmbedding labels = ClassEmbedding.from(config, CLASS_EMBEDDINGS);
    return new UNet2DConditionConfig(
        ConfigValues.positive(config, "in_channels", 4),
        ConfigValues.positive(config, "out_channels", 4),
        channels,
        down.stream().map(CROSS_DOWN::equals).toList(),
        up.stream().map(CROSS_UP::equals).toList(),
        hasMid,
        midAttends,
        midScale(config),
        layers,
        heads,
        crossAttentionDim(config, down, up, midAttends),
        contextProjection(config),
        transformerLayers(config, LAYERS, attending(down, CROSS_DOWN), layers, 0),
        config.has(LAYERS_UP)
            ? transformerLayers(config, LAYERS_UP, attending(up, CROSS_UP), reversed(layers), 1)
            : reversedLayers(config, attending(up, CROSS_UP), layers),
        midAttends ? midLayers(config, levels) : 1,
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
        ConfigValues.positive(config, "time_embedding_dim", 4 * channels.get(0)),
        ConfigValues.optionalActivation(config, "timestep_post_act"),
        ConfigValues.optionalActivation(config, "time_embedding_act_fn"),
        config.has("time_cond_proj_dim")
            ? ConfigValues.positive(config, "time_cond_proj_dim", 1)
            : 0,
        labels,
        concatenated(config, labels),
        textTime(config));
  }

  private static boolean concatenated(Config config, ClassEmbedding labels) {
    boolean concatenated = config.flag("class_embeddings_concat", false);
    if (concatenated && (!labels.exists() || config.has("addition_embed_type"))) {
      throw config.unsupported(
          "class_embeddings_concat",
          true,
          "false, or a network with class labels and without addition_embed_type");
    }
    return concatenated;
  }

  private static double midScale(Config config) {
    double scale = config.number("mid_block_scale_factor", 1);
    if (scale == 0) {
      throw config.unsupported("mid_block_scale_factor", scale, "a number other than 0");
    }
    return scale;
  }

  /** A type that is absent is text_proj where there is a size, as in the reference. */
  private static int contextProjection(Config config) {
    if (config.has("encoder_hid_dim_type")) {
      ConfigValues.oneOf(config, "encoder_hid_dim_type", null, List.of("text_proj"));
      return ConfigValues.positive(config, "encoder_hid_dim", 0);
    }
    return config.has("encoder_hid_dim") ? ConfigValues.positive(config, "encoder_hid_dim", 0) : 0;
  }

  private static List<Boolean> attending(List<String> blocks, String attends) {
    return blocks.stream().map(attends::equals).toList();
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

  private static int crossAttentionDim(
      Config config, List<String> down, List<String> up, boolean midAttends) {
    int levels = down.size();
    int[] sizes = config.integersOrOne("cross_attention_dim", levels, 1280);
    int size = 0;
    for (int level = 0; level < levels; level++) {
      boolean attends =
          down.get(level).equals(CROSS_DOWN)
              || up.get(levels - 1 - level).equals(CROSS_UP)
              || midAttends && level == levels - 1;
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

  /** Size of a token of the context that the network is given. */
  public int contextSize() {
    return contextProjection == 0 ? crossAttentionDim : contextProjection;
  }

  /** Size of what residual blocks see of all embeddings. */
  int blockEmbedding() {
    return classConcatenated ? 2 * timeEmbedding : timeEmbedding;
  }
}
