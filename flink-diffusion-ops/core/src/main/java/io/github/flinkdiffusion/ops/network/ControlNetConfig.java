/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.apache.flink.annotation.Internal;

/**
 * diffusers' ControlNetModel and ControlNetUnionModel configs, as far as they are supported. Names
 * are the config's.
 *
 * @param way the way down and the middle, which are those of a UNet; it has no way up
 * @param conditioningChannels {@code conditioning_channels} of the control image
 * @param embeddingChannels {@code conditioning_embedding_out_channels}; each after the first halves
 *     the control image
 * @param blueFirst {@code controlnet_conditioning_channel_order} is {@code bgr}
 * @param pooled {@code global_pool_conditions}: of each residual its mean over all pixels
 * @param union what a network for several kinds of images has more; empty for one kind
 */
@Internal
public record ControlNetConfig(
    UNet2DConditionConfig way,
    int conditioningChannels,
    List<Integer> embeddingChannels,
    boolean blueFirst,
    boolean pooled,
    Optional<Union> union) {

  /**
   * Of a ControlNetUnionModel.
   *
   * @param kinds of images that it knows ({@code num_control_type})
   * @param layers {@code num_trans_layer}
   */
  public record Union(int kinds, int layers) {}

  private static final int MOST_KINDS = 64;

  private static final int MOST_HALVINGS = 6;

  public ControlNetConfig {
    embeddingChannels = List.copyOf(embeddingChannels);
  }

  /**
   * Reads a component's config.json; missing keys take diffusers' defaults.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static ControlNetConfig from(Config config) {
    return from(config, new int[] {16, 32, 96, 256}, way -> Optional.empty());
  }

  /**
   * Reads the config of a ControlNetUnionModel.
   *
   * @throws io.github.flinkdiffusion.ops.weights.IllegalConfigException for a value that is not
   *     supported
   */
  public static ControlNetConfig unionFrom(Config config) {
    ConfigValues.oneOf(config, "controlnet_conditioning_channel_order", "rgb", List.of("rgb"));
    return from(config, new int[] {48, 96, 192, 384}, way -> Optional.of(union(config, way)));
  }

  private static Union union(Config config, UNet2DConditionConfig way) {
    if (way.textTime().isEmpty()) {
      throw config.unsupported(
          "addition_embed_type", config.node().get("addition_embed_type"), "text_time");
    }
    int channels = way.blockOutChannels().get(0);
    for (String key : List.of("num_trans_channel", "num_proj_channel")) {
      if (config.integer(key, 320) != channels) {
        throw config.unsupported(
            key, config.integer(key, 320), "the first of block_out_channels, " + channels);
      }
    }
    int heads = ConfigValues.positive(config, "num_trans_head", 8);
    if (channels % heads != 0) {
      throw config.unsupported("num_trans_head", heads, "a divisor of " + channels);
    }
    int kinds = ConfigValues.positive(config, "num_control_type", 6);
    if (kinds > MOST_KINDS) {
      throw config.unsupported("num_control_type", kinds, "1 to " + MOST_KINDS);
    }
    return new Union(kinds, ConfigValues.layers(config, "num_trans_layer", 1));
  }

  private static ControlNetConfig from(
      Config config, int[] channels, Function<UNet2DConditionConfig, Optional<Union>> union) {
    ConfigValues.requireAbsent(config, "num_attention_heads");
    // The reference has layers for these, and does not use them or is never given their inputs.
    for (String key : List.of("encoder_hid_dim", "class_embed_type", "num_class_embeds")) {
      ConfigValues.requireAbsent(config, key);
    }
    UNet2DConditionConfig way = UNet2DConditionConfig.from(asUNet(config));
    if (!way.down().stream()
        .allMatch(block -> block == UNetBlock.CROSS || block == UNetBlock.PLAIN)) {
      throw config.unsupported(
          "down_block_types",
          config.strings("down_block_types", List.of()),
          "DownBlock2D and CrossAttnDownBlock2D");
    }
    if (way.middle() != UNet2DConditionConfig.Middle.CROSS
        && way.middle() != UNet2DConditionConfig.Middle.PLAIN) {
      throw config.unsupported(
          "mid_block_type",
          config.node().get("mid_block_type"),
          "UNetMidBlock2DCrossAttn or UNetMidBlock2D");
    }
    if (way.addition().kind() != AddedEmbedding.Kind.NONE && way.textTime().isEmpty()) {
      throw config.unsupported(
          "addition_embed_type", config.node().get("addition_embed_type"), "text_time or null");
    }
    List<Integer> embedding =
        ConfigValues.boxed(config.integers("conditioning_embedding_out_channels", channels));
    if (embedding.isEmpty()
        || embedding.size() > MOST_HALVINGS + 1
        || !embedding.stream().allMatch(each -> each > 0 && each <= ConfigValues.LARGEST_SIZE)) {
      throw config.unsupported(
          "conditioning_embedding_out_channels",
          embedding,
          "1 to %d numbers from 1 to %d".formatted(MOST_HALVINGS + 1, ConfigValues.LARGEST_SIZE));
    }
    return new ControlNetConfig(
        way,
        ConfigValues.positive(config, "conditioning_channels", 3),
        embedding,
        ConfigValues.oneOf(
                config, "controlnet_conditioning_channel_order", "rgb", List.of("rgb", "bgr"))
            .equals("bgr"),
        config.flag("global_pool_conditions", false),
        union.apply(way));
  }

  /** Pixels of the control image along a side of one pixel of the sample. */
  public int scaleFactor() {
    return 1 << (embeddingChannels.size() - 1);
  }

  /** Residuals that it gives: one for each skip connection, and the middle's. */
  public int residuals() {
    int skips = 1;
    for (int level = 0; level < way.levels(); level++) {
      skips += way.layersPerBlock().get(level) + (level < way.levels() - 1 ? 1 : 0);
    }
    return skips + 1;
  }

  /** The same with a way up that mirrors the way down; nothing of it is used. */
  private static Config asUNet(Config config) {
    List<String> down =
        config.strings(
            "down_block_types",
            List.of(
                "CrossAttnDownBlock2D",
                "CrossAttnDownBlock2D",
                "CrossAttnDownBlock2D",
                "DownBlock2D"));
    ObjectNode node = config.node().deepCopy();
    ArrayNode up = node.putArray("up_block_types");
    for (int level = down.size() - 1; level >= 0; level--) {
      up.add(down.get(level).replace("Down", "Up"));
    }
    return Config.of(config.source(), node);
  }
}
