/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.apache.flink.annotation.Internal;

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
@Internal
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

    /**
     * Old configs omit the key; a null that is written down means that there is no middle block.
     */
    static Middle from(Config config) {
      if (config.node().path("mid_block_type").isNull()) {
        return NONE;
      }
      String name = config.string("mid_block_type", CROSS.text);
      return Arrays.stream(values())
          .filter(each -> name.equals(each.text))
          .findFirst()
          .orElseThrow(
              () ->
                  config.unsupported(
                      "mid_block_type",
                      name,
                      "%s, %s, %s or null".formatted(CROSS.text, PLAIN.text, SIMPLE_CROSS.text)));
    }
  }

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
    UNetLevels blocks = UNetLevels.from(config);
    int levels = blocks.count();
    int groups = blocks.groups(config);
    List<Integer> layers = ConfigValues.layersOfLevels(config, "layers_per_block", levels, 2);
    int crossAttentionDim = blocks.crossAttentionDim(config);
    ContextProjection projection = ContextProjection.from(config);
    boolean fourier =
        ConfigValues.oneOf(
                config, "time_embedding_type", "positional", List.of("positional", FOURIER))
            .equals(FOURIER);
    int timeEmbedding =
        ConfigValues.positive(
            config, "time_embedding_dim", (fourier ? 2 : 4) * blocks.channels().get(0));
    if (fourier && timeEmbedding % 2 != 0) {
      throw config.unsupported("time_embedding_dim", timeEmbedding, "an even number");
    }
    ClassEmbedding labels = ClassEmbedding.from(config, CLASS_EMBEDDINGS);
    boolean concatenated = concatenated(config, labels);
    blocks.checkK(config, concatenated ? 2 * timeEmbedding : timeEmbedding);
    TransformerLayers transformers = TransformerLayers.from(config, blocks, layers);
    return new UNet2DConditionConfig(
        ConfigValues.positive(config, "in_channels", 4),
        ConfigValues.positive(config, "out_channels", 4),
        blocks.channels(),
        blocks.down(),
        blocks.up(),
        blocks.middle(),
        factor(config, "mid_block_scale_factor"),
        layers,
        blocks.heads(config),
        crossAttentionDim,
        projection,
        blocks.contextNorm(config, crossAttentionDim),
        transformers.down(),
        transformers.up(),
        transformers.middle(),
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

  private static int kernel(Config config, String key) {
    int kernel = config.integer(key, 3);
    if (kernel < 1 || kernel % 2 == 0) {
      throw config.unsupported(key, kernel, "an odd number, so that the image keeps its size");
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
