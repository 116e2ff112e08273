/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.annotation.Internal;

/**
 * The part of IP-Adapters that is in a UNet: each attention to the context attends to the tokens of
 * images as well, by keys and values of its own, and adds both. A row has a scale for each adapter,
 * so rows with images and without share a call: zero leaves a row as it is.
 */
@Internal
public final class IpAdapters {
  /** What is added to the scores of tokens that are not there; float16 holds it. */
  private static final double UNSEEN = -1e4;

  private final List<IpAdapterShape> adapters;
  private final UNet2DConditionConfig unet;

  /** Numbers of the attentions in an adapter's file, by their scope. */
  private final Map<String, Integer> numbers;

  /**
   * @throws IllegalArgumentException for an adapter that does not fit the UNet
   */
  public IpAdapters(UNet2DConditionConfig unet, List<IpAdapterShape> adapters) {
    this.unet = unet;
    this.adapters = List.copyOf(adapters);
    if (!takesAny(unet) || !adapters.stream().allMatch(each -> fits(unet, each))) {
      throw new IllegalArgumentException("The UNet takes nothing of these IP-Adapters.");
    }
    this.numbers = numbers(unet);
  }

  /**
   * Whether a UNet can have IP-Adapters: its context comes from a text alone, and the image sees
   * itself, too.
   */
  public static boolean takesAny(UNet2DConditionConfig unet) {
    return !unet.projection().exists()
        && unet.attentionType() == AttentionType.DEFAULT
        && !unet.onlyCrossAttention().contains(true)
        && unet.down().stream().allMatch(IpAdapters::isKnown)
        && unet.up().stream().allMatch(IpAdapters::isKnown)
        && unet.middle() != UNet2DConditionConfig.Middle.SIMPLE_CROSS;
  }

  private static boolean isKnown(UNetBlock block) {
    return block == UNetBlock.CROSS || !block.seesContext() && !block.isK();
  }

  /** Whether an adapter's tokens are of the size that a UNet's context has. */
  public static boolean fits(UNet2DConditionConfig unet, IpAdapterShape adapter) {
    return unet.crossAttentionDim() == adapter.contextSize();
  }

  /** The prefix of an adapter's parameters, which is its component's name in a model. */
  public static String component(int adapter) {
    return adapter == 0 ? "ip_adapter" : "ip_adapter_" + adapter;
  }

  public int size() {
    return adapters.size();
  }

  /**
   * Files count the attentions by odd numbers, in the order in which diffusers' UNet has its parts:
   * the way down, the way up, the middle.
   */
  private static Map<String, Integer> numbers(UNet2DConditionConfig unet) {
    List<String> scopes = new ArrayList<>();
    for (int level = 0; level < unet.levels(); level++) {
      if (unet.down().get(level) == UNetBlock.CROSS) {
        add(scopes, "down_blocks." + level, unet.transformerLayers().get(level));
      }
    }
    for (int up = 0; up < unet.levels(); up++) {
      if (unet.up().get(up) == UNetBlock.CROSS) {
        add(scopes, "up_blocks." + up, unet.transformerLayersUp().get(up));
      }
    }
    if (unet.middle() == UNet2DConditionConfig.Middle.CROSS) {
      add(scopes, "mid_block", List.of(unet.transformerLayersMid()));
    }
    Map<String, Integer> numbers = new HashMap<>();
    scopes.forEach(scope -> numbers.put(scope, 2 * numbers.size() + 1));
    return numbers;
  }

  private static void add(List<String> scopes, String block, List<Integer> layers) {
    for (int i = 0; i < layers.size(); i++) {
      for (int t = 0; t < layers.get(i); t++) {
        scopes.add("%s.attentions.%d.transformer_blocks.%d.attn2.".formatted(block, i, t));
      }
    }
  }

  /**
   * Inputs of a method: of each adapter {@code image_tokens} [N,S,context], {@code seen} [N,S],
   * which is 1 for tokens and 0 for room that is left, and {@code image_scale} [N]. S is each
   * adapter's own.
   *
   * @param dtype what attention computes in
   */
  Tokens inputs(Method m, Value dtype) {
    List<Value> tokens = new ArrayList<>();
    List<Value> biases = new ArrayList<>();
    List<Value> scales = new ArrayList<>();
    for (int i = 0; i < adapters.size(); i++) {
      tokens.add(m.castAs(m.input("image_tokens_" + i, 3), dtype));
      Value unseen = m.multiply(m.add(m.input("seen_" + i, 2), -1), -UNSEEN);
      biases.add(m.castAs(m.unsqueeze(m.unsqueeze(unseen, 1), 1), dtype));
      Value scale = m.input("image_scale_" + i, 1);
      scales.add(m.castAs(m.unsqueeze(m.unsqueeze(scale, 1), 2), dtype));
    }
    return new Tokens(tokens, biases, scales);
  }

  /** What a method's attentions see. */
  final class Tokens {
    private final List<Value> tokens;
    private final List<Value> biases;
    private final List<Value> scales;

    private Tokens(List<Value> tokens, List<Value> biases, List<Value> scales) {
      this.tokens = tokens;
      this.biases = biases;
      this.scales = scales;
    }

    /**
     * What one attention adds, before its last layer.
     *
     * @param at the attention's scope, which begins at the UNet's
     * @param q [N,T,channels]
     */
    Value added(Scope at, Value q, int channels, int heads) {
      Method m = at.method();
      Integer number = numbers.get(at.prefix());
      if (number == null) {
        throw new IllegalArgumentException(
            "There is no attention '%s' in this UNet.".formatted(at.prefix()));
      }
      Value sum = null;
      for (int i = 0; i < adapters.size(); i++) {
        Scope own = new Scope(m, component(i) + ".ip_adapter.").child("" + number);
        int context = unet.crossAttentionDim();
        Value k = own.linearWithoutBias("to_k_ip", tokens.get(i), context, channels);
        Value v = own.linearWithoutBias("to_v_ip", tokens.get(i), context, channels);
        Value attended = own.heads(q, k, v, biases.get(i), heads, channels / heads);
        Value scaled = m.multiply(attended, scales.get(i));
        sum = sum == null ? scaled : m.add(sum, scaled);
      }
      return sum;
    }
  }
}
