package io.github.flinkdiffusion.ops.network;

import java.util.List;

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
 * @param crossAttentionDim {@code cross_attention_dim}
 * @param transformerLayers {@code transformer_layers_per_block} of each level
 * @param onlyCrossAttention {@code only_cross_attention} of each level
 * @param linearProjection {@code use_linear_projection}
 * @param upcastAttention {@code upcast_attention}
 * @param groups {@code norm_num_groups}
 * @param epsilon {@code norm_eps}
 * @param activation {@code act_fn}
 * @param flipSinToCos {@code flip_sin_to_cos}
 * @param frequencyShift {@code freq_shift}
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
    int groups,
    double epsilon,
    Activation activation,
    boolean flipSinToCos,
    double frequencyShift) {

  public UNet2DConditionConfig {
    blockOutChannels = List.copyOf(blockOutChannels);
    crossAttentionDown = List.copyOf(crossAttentionDown);
    crossAttentionUp = List.copyOf(crossAttentionUp);
    layersPerBlock = List.copyOf(layersPerBlock);
    heads = List.copyOf(heads);
    transformerLayers = List.copyOf(transformerLayers);
    onlyCrossAttention = List.copyOf(onlyCrossAttention);
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
