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
 * @param down {@code down_block_types}
 * @param up {@code up_block_types}, in that order
 * @param middle {@code mid_block_type}
 * @param midScale {@code mid_block_scale_factor}
 * @param layersPerBlock {@code layers_per_block} of each level
 * @param heads {@code attention_head_dim} of each level: for {@link UNetBlock#CROSS} the number of
 *     attention heads, for {@link UNetBlock#SIMPLE_CROSS} the channels of one
 * @param crossAttentionDim {@code cross_attention_dim}; in a list for the levels, those that attend
 *     agree, since all see one context
 * @param projection how the context comes from what the network is given
 * @param contextNorm {@code cross_attention_norm} of {@link UNetBlock#SIMPLE_CROSS}
 * @param transformerLayers {@code transformer_layers_per_block}: for each down level, of each of
 *     its attentions
 * @param transformerLayersUp the same for the up levels, in their order; {@code
 *     reverse_transformer_layers_per_block} where that is given
 * @param transformerLayersMid of the middle's attention
 * @param onlyCrossAttention {@code only_cross_attention} of each level
 * @param midOnlyCrossAttention {@code mid_block_only_cross_attention} of {@link
 *     Middle#SIMPLE_CROSS}
 * @param linearProjection {@code use_linear_projection}
 * @param upcastAttention {@code upcast_attention}
 * @param symmetricPadding {@code downsample_padding} is 1; else the image is padded on the right
 *     and below
 * @param groups {@code norm_num_groups}, 0 for null
 * @param epsilon {@code norm_eps}
 * @param activation {@code act_fn}
 * @param flipSinToCos {@code flip_sin_to_cos}
 * @param frequencyShift {@code freq_shift}
 * @param timeScaleShift {@code resnet_time_scale_shift} is {@code scale_shift}
 * @param skipTimeActivation {@code resnet_skip_time_act} of blocks that resample in residual blocks
 * @param residualScale {@code resnet_out_scale_factor} of these
 * @param convInKernel {@code conv_in_kernel}, odd
 * @param convOutKernel {@code conv_out_kernel}, odd
 * @param centerInput {@code center_input_sample}: the input is in 0..1 and becomes -1..1
 * @param fourier {@code time_embedding_type} is {@code fourier}
 * @param timeEmbedding {@code time_embedding_dim}, by default four times the first level, twice for
 *     {@code fourier}
 * @param timeActivation {@code timestep_post_act}, if any
 * @param embeddingActivation {@code time_embedding_act_fn}, if any: of the sum of all embeddings
 * @param guidanceEmbedding {@code time_cond_proj_dim}: size of the embedded guidance scale that
 *     distilled networks (LCM) take, 0 for none
 * @param classEmbedding what class labels are, if there are any
 * @param classConcatenated {@code class_embeddings_concat}: the embedded label stands beside the
 *     time embedding, where it is else added to it
 * @param addition what a second condition adds to the time embedding
 * @param attentionType {@code attention_type}
 */
public record UNet2DConditionConfig(
    int inChannels,
    int outChannels,
    List<Integer> blockOutChannels,
    List<UNetBlock> down,
    List<UNetBlock> up,
    Middle middle,
    double midScale,
    List<Integer> layersPerBlock,
    List<Integer> heads,
    int crossAttentionDim,
    ContextProjection projection,
    AddedKvAttention.ContextNorm contextNorm,
    List<List<Integer>> transformerLayers,
    List<List<Integer>> transformerLayersUp,
    int transformerLayersMid,
    List<Boolean> onlyCrossAttention,
    boolean midOnlyCrossAttention,
    boolean linearProjection,
    boolean upcastAttention,
    boolean symmetricPadding,
    int groups,
    double epsilon,
    Activation activation,
    boolean flipSinToCos,
    double frequencyShift,
    boolean timeScaleShift,
    boolean skipTimeActivation,
    double residualScale,
    int convInKernel,
    int convOutKernel,
    boolean centerInput,
    boolean fourier,
    int timeEmbedding,
    Optional<Activation> timeActivation,
    Optional<Activation> embeddingActivation,
    int guidanceEmbedding,
    ClassEmbedding classEmbedding,
    boolean classConcatenated,
    AddedEmbedding addition,
    AttentionType attentionType) {

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
    down = List.copyOf(down);
    up = List.copyOf(up);
    layersPerBlock = List.copyOf(layersPerBlock);
    heads = List.copyOf(heads);
    transformerLayers = List.copyOf(transformerLayers);
    transformerLayersUp = List.copyOf(transformerLayersUp);
    onlyCrossAttention = List.copyOf(onlyCrossAttention);
  }

  /** {@code mid_block_type}. */
  enum Middle {
    /** null: no middle. */
    NONE(null),
    CROSS("UNetMidBlock2DCrossAttn"),
    /** One residual block. */
    PLAIN("UNetMidBlock2D"),
    SIMPLE_CROSS("UNetMidBlock2DSimpleCrossAttn");

    private final String text;

    Middle(String text) {
      this.text = text;
    }

    boolean seesContext() {
      return this == CROSS || this == SIMPLE_CROSS;
    }
  }

  private static final List<UNetBlock> BLOCKS =
      List.of(
          UNetBlock.CROSS,
          UNetBlock.PLAIN,
          UNetBlock.SIMPLE_CROSS,
          UNetBlock.RESNET,
          UNetBlock.K,
          UNetBlock.K_CROSS);
  private static final String LAYERS = "transformer_layers_per_block";
  private static final String LAYERS_UP = "reverse_transformer_layers_per_block";
  private static final String FOURIER = "fourier";
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
    // diffusers refuses the key, too: what it would mean is what attention_head_dim does mean.
    ConfigValues.requireAbsent(config, "num_attention_heads");
    ConfigValues.require(config, "dual_cross_attention", false);
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
    int levels = down.size();
    List<Integer> channels =
        ConfigValues.boxed(config.integers("block_out_channels", new int[] {320, 640, 1280, 1280}));
    if (up.size() != levels || channels.size() != levels) {
      throw config.unsupported(
          "block_out_channels",
          channels,
          "one entry for each of down_block_types and up_block_types");
    }
    Middle middle = middle(config);
    boolean k = kBlocks(config, down, up);
    int groups = groups(config, k, middle);
    if (groups > 0) {
      ConfigValues.requireDivisible(
          config, "block_out_channels", channels, groups, "norm_num_groups");
    }
    List<Integer> heads = ConfigValues.boxed(config.integersOrOne("attention_head_dim", levels, 8));
    checkHeads(config, channels, heads, up);
    List<Integer> layers = ConfigValues.layersOfLevels(config, "layers_per_block", levels, 2);
    int crossAttentionDim = crossAttentionDim(config, down, up, middle);
    ContextProjection projection = ContextProjection.from(config);
    boolean fourier =
        ConfigValues.oneOf(
                config, "time_embedding_type", "positional", List.of("positional", FOURIER))
            .equals(FOURIER);
    int timeEmbedding =
        ConfigValues.positive(config, "time_embedding_dim", (fourier ? 2 : 4) * channels.get(0));
    if (fourier && timeEmbedding % 2 != 0) {
      throw config.unsupported("time_embedding_dim", timeEmbedding, "an even number");
    }
    ClassEmbedding labels = ClassEmbedding.from(config, CLASS_EMBEDDINGS);
    boolean concatenated = concatenated(config, labels);
    if (k) {
      checkKLevels(config, channels, down, up, concatenated ? 2 * timeEmbedding : timeEmbedding);
    }
    return new UNet2DConditionConfig(
        ConfigValues.positive(config, "in_channels", 4),
        ConfigValues.positive(config, "out_channels", 4),
        channels,
        down,
        up,
        middle,
        factor(config, "mid_block_scale_factor"),
        layers,
        heads,
        crossAttentionDim,
        projection,
        contextNorm(config, channels, crossAttentionDim, down, up, middle),
        transformerLayers(config, LAYERS, attending(down), layers, 0),
        config.has(LAYERS_UP)
            ? transformerLayers(config, LAYERS_UP, attending(up), reversed(layers), 1)
            : reversedLayers(config, attending(up), layers),
        middle == Middle.CROSS ? midLayers(config, levels) : 1,
        ConfigValues.boxed(config.flagsOrOne("only_cross_attention", levels, false)),
        midOnlyCrossAttention(config),
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
        config.flag("resnet_skip_time_act", false),
        factor(config, "resnet_out_scale_factor"),
        kernel(config, "conv_in_kernel"),
        kernel(config, "conv_out_kernel"),
        config.flag("center_input_sample", false),
        fourier,
        timeEmbedding,
        ConfigValues.optionalActivation(config, "timestep_post_act"),
        ConfigValues.optionalActivation(config, "time_embedding_act_fn"),
        config.has("time_cond_proj_dim")
            ? ConfigValues.positive(config, "time_cond_proj_dim", 1)
            : 0,
        labels,
        concatenated,
        AddedEmbedding.from(
            config,
            projection.exists() ? projection.size() : crossAttentionDim,
            crossAttentionDim,
            projection),
        AttentionType.from(config));
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

  /** Old configs omit the key; a null that is written down means that there is no middle block. */
  private static Middle middle(Config config) {
    if (config.node().path("mid_block_type").isNull()) {
      return Middle.NONE;
    }
    String name = config.string("mid_block_type", Middle.CROSS.text);
    return Arrays.stream(Middle.values())
        .filter(each -> name.equals(each.text))
        .findFirst()
        .orElseThrow(
            () ->
                config.unsupported(
                    "mid_block_type",
                    name,
                    "%s, %s, %s or null"
                        .formatted(
                            Middle.CROSS.text, Middle.PLAIN.text, Middle.SIMPLE_CROSS.text)));
  }

  /**
   * For {@link UNetBlock#SIMPLE_CROSS} and {@link UNetBlock#K_CROSS} on the way up, the reference
   * does not reverse the list, as it does for everything else. The latter end in the next level's
   * channels.
   */
  private static void checkHeads(
      Config config, List<Integer> channels, List<Integer> heads, List<UNetBlock> up) {
    int levels = channels.size();
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
  }

  /** Whether all blocks are {@link KLevels}'; their skip connections fit no others. */
  private static boolean kBlocks(Config config, List<UNetBlock> down, List<UNetBlock> up) {
    boolean all = down.stream().allMatch(UNetBlock::isK) && up.stream().allMatch(UNetBlock::isK);
    if (!all && (down.stream().anyMatch(UNetBlock::isK) || up.stream().anyMatch(UNetBlock::isK))) {
      throw config.unsupported(
          "up_block_types",
          config.strings("up_block_types", List.of()),
          "K blocks alone where down_block_types has one, and none where it has another");
    }
    return all;
  }

  /** Groups of the norms that are not {@link KLevels}' own; 0 where there are none. */
  private static int groups(Config config, boolean k, Middle middle) {
    if (!config.node().path("norm_num_groups").isNull()) {
      return config.integer("norm_num_groups", 32);
    }
    if (!k || middle != Middle.NONE) {
      throw config.unsupported(
          "norm_num_groups", null, "a whole number, or null with K blocks and no middle block");
    }
    return 0;
  }

  /** The reference builds other combinations, too, and fails when it runs them. */
  private static void checkKLevels(
      Config config,
      List<Integer> channels,
      List<UNetBlock> down,
      List<UNetBlock> up,
      int timeEmbedding) {
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
                    + " as many block_out_channels in the last two levels as the time embedding, %d, there and"
                    + " nowhere else")
                .formatted(timeEmbedding));
      }
    }
  }

  private static AddedKvAttention.ContextNorm contextNorm(
      Config config,
      List<Integer> channels,
      int crossAttentionDim,
      List<UNetBlock> down,
      List<UNetBlock> up,
      Middle middle) {
    int levels = channels.size();
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

  /** Absent or null, it is what {@code only_cross_attention} says for all levels. */
  private static boolean midOnlyCrossAttention(Config config) {
    String own = "mid_block_only_cross_attention";
    JsonNode all = config.node().path("only_cross_attention");
    return config.has(own) ? config.flag(own, false) : all.isBoolean() && all.booleanValue();
  }

  private static double factor(Config config, String key) {
    double factor = config.number(key, 1);
    if (factor == 0) {
      throw config.unsupported(key, factor, "a number other than 0");
    }
    return factor;
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

  private static int crossAttentionDim(
      Config config, List<UNetBlock> down, List<UNetBlock> up, Middle middle) {
    int levels = down.size();
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

  private static int kernel(Config config, String key) {
    int kernel = config.integer(key, 3);
    if (kernel < 1 || kernel % 2 == 0) {
      throw config.unsupported(key, kernel, "an odd number, so that the picture keeps its size");
    }
    return kernel;
  }

  /** Resolution levels. */
  int levels() {
    return blockOutChannels.size();
  }

  /** What {@code addition_embed_type} {@code text_time} (SDXL) adds, if it does. */
  public Optional<TextTime> textTime() {
    return addition.kind() == AddedEmbedding.Kind.TEXT_TIME
        ? Optional.of(new TextTime(addition.detail(), addition.size()))
        : Optional.empty();
  }

  /** Size of a token of the context that the network is given. */
  public int contextSize() {
    return projection.exists() ? projection.size() : crossAttentionDim;
  }

  /** Whether tokens are an input: not where an image's embedding gives the whole context. */
  boolean seesTokens() {
    return projection.seesTokens() || addition.kind() == AddedEmbedding.Kind.TEXT;
  }

  /** Whether an image's embedding is an input. */
  boolean seesImage() {
    return projection.seesImage() || addition.seesImage();
  }

  /**
   * What the sample's sides are multiples of: where residual blocks resample, a side that does not
   * halve would not come back to its size.
   */
  public int sideMultiple() {
    return up.subList(0, levels() - 1).stream().anyMatch(UNetBlock::takesEvenSides)
        ? 1 << (levels() - 1)
        : 1;
  }

  /** The least side of a sample: {@link KLevels} mirror images of two pixels or more. */
  public int leastSide() {
    return hasKBlocks() && levels() > 1 ? 1 << levels() : 1;
  }

  /** Whether the levels are {@link KLevels}. */
  boolean hasKBlocks() {
    return down.get(0).isK();
  }

  /** Size of the embedded timestep before its layers. */
  int timeInput() {
    return fourier ? timeEmbedding : blockOutChannels.get(0);
  }

  /** Size of what residual blocks see of all embeddings. */
  int blockEmbedding() {
    return classConcatenated ? 2 * timeEmbedding : timeEmbedding;
  }
}
