/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.network;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * A UNet, the ControlNets that add to it, IP-Adapters, and features of T2I-Adapters, as one graph.
 * A row has a scale for each residual of each ControlNet, for each IP-Adapter and for features, so
 * rows with and without them share a call: zeros leave a row as it is.
 */
@Internal
public final class ControlledUNet {
  private final UNet2DConditionConfig unet;
  private final List<ControlNetConfig> controls;
  private final IpAdapters adapters;

  /** Of T2I-Adapters. */
  private final int features;

  /**
   * @param features how many the T2I-Adapters give; 0 for none
   * @throws IllegalArgumentException for one whose residuals or tokens do not fit the UNet
   */
  public ControlledUNet(
      UNet2DConditionConfig unet,
      List<ControlNetConfig> controls,
      List<IpAdapterShape> adapters,
      int features) {
    this.features = features;
    this.unet = unet;
    this.controls = List.copyOf(controls);
    if (!controls.stream().allMatch(each -> fits(unet, each))) {
      throw new IllegalArgumentException("The UNet takes nothing of these ControlNets.");
    }
    this.adapters = adapters.isEmpty() ? null : new IpAdapters(unet, adapters);
  }

  /** Whether the residuals of a ControlNet have the sizes of the UNet's features. */
  public static boolean fits(UNet2DConditionConfig unet, ControlNetConfig control) {
    UNet2DConditionConfig way = control.way();
    return !unet.hasKBlocks()
        && unet.middle() != UNet2DConditionConfig.Middle.NONE
        && way.inChannels() <= unet.inChannels()
        && way.blockOutChannels().equals(unet.blockOutChannels())
        && way.layersPerBlock().equals(unet.layersPerBlock())
        && unet.seesTokens()
        && way.crossAttentionDim() == unet.contextSize()
        && (way.textTime().isEmpty() || way.textTime().equals(unet.textTime()));
  }

  /** Whether the features of a T2I-Adapter have the sizes of the UNet's. */
  public static boolean fits(UNet2DConditionConfig unet, T2IAdapterConfig adapter, int scale) {
    List<T2IAdapterConfig.Feature> features = adapter.features();
    int levels = unet.levels();
    boolean known =
        features.size() <= levels + 1
            && unet.middle() != UNet2DConditionConfig.Middle.NONE
            && unet.down().stream()
                .allMatch(block -> block == UNetBlock.CROSS || block == UNetBlock.PLAIN);
    for (int i = 0; known && i < features.size(); i++) {
      int level = Math.min(i, levels - 1);
      boolean halved = i < levels - 1 && unet.down().get(level) == UNetBlock.PLAIN;
      T2IAdapterConfig.Feature feature = features.get(i);
      known =
          feature.channels() == unet.blockOutChannels().get(level)
              && feature.pixels() == scale << (halved ? level + 1 : level);
    }
    return known;
  }

  /**
   * The method in which some ControlNets add to the UNet.
   *
   * @param seen numbers of ControlNets: none, one, or all
   * @param featured whether T2I-Adapters do; not together with ControlNets
   * @param images whether IP-Adapters do, too
   */
  public String method(List<Integer> seen, boolean featured, boolean images) {
    String name =
        seen.isEmpty()
            ? UNet2DCondition.FORWARD
            : seen.size() == 1 ? "controlled_" + seen.get(0) : "controlled";
    name = featured ? "featured" : name;
    return images ? name + "_with_images" : name;
  }

  /** The prefix of a ControlNet's parameters, which is its component's name in a model folder. */
  public static String component(int control) {
    return control == 0 ? "controlnet" : "controlnet_" + control;
  }

  /**
   * {@link UNet2DCondition#graph}, and more methods, see {@link #method}: one for each ControlNet,
   * one for all of them if there are several, and each of these with IP-Adapters. After all other
   * inputs stand, for each ControlNet of the method in turn, {@code image} [N,3,fH,fW] of 0..1, of
   * a union {@code kind} [N,kinds], and {@code scales} [N,R], see {@link ControlNet#graph}; then
   * those of {@link IpAdapters#inputs}. With T2I-Adapters there is one more, which has before the
   * latter each {@code feature} [N,C,h,w] and {@code featured} [N], which they are multiplied by.
   * Parameters of the UNet have its checkpoint's names, those of a ControlNet stand behind {@link
   * #component} and a dot, those of an adapter behind {@link IpAdapters#component}.
   */
  public Graph graph() {
    Graph graph = new Graph();
    List<List<Integer>> together = new ArrayList<>(List.of(List.of()));
    List<Integer> every = new ArrayList<>();
    for (int i = 0; i < controls.size(); i++) {
      together.add(List.of(i));
      every.add(i);
    }
    if (every.size() > 1) {
      together.add(every);
    }
    for (List<Integer> seen : together) {
      add(graph, seen, false);
    }
    if (features > 0) {
      add(graph, List.of(), true);
    }
    return graph;
  }

  private void add(Graph graph, List<Integer> seen, boolean featured) {
    add(graph, seen, featured, false);
    if (adapters != null) {
      add(graph, seen, featured, true);
    }
  }

  private void add(Graph graph, List<Integer> seen, boolean featured, boolean images) {
    Method method = graph.method(method(seen, featured, images));
    UNet2DCondition network = new UNet2DCondition(unet);
    UNet2DCondition.Inputs inputs = network.inputs(method);
    UNet2DCondition.Residuals sum = null;
    for (int i : seen) {
      Value image = method.input("image_" + i, 4);
      ControlNetConfig control = controls.get(i);
      Value kind = control.union().isPresent() ? method.input("kind_" + i, 2) : null;
      Value scales = method.input("scales_" + i, 2);
      Scope at = new Scope(method, component(i) + ".");
      UNet2DCondition.Residuals own =
          new ControlNet(control).emit(at, narrowed(method, inputs, control), image, kind, scales);
      sum = sum == null ? own : added(method, sum, own);
    }
    Scope at = new Scope(method, "");
    Value dtype = at.parameter("conv_in.bias", unet.blockOutChannels().get(0));
    List<Value> added = featured ? features(method, dtype) : List.of();
    IpAdapters.Tokens tokens = images ? adapters.inputs(method, dtype) : null;
    method.returns(
        method.toFloat(network.emit(at, inputs, new UNet2DCondition.More(sum, tokens, added))));
  }

  /**
   * Adds a UNet without further conditions and its only ControlNet, at full scale, to a method: for
   * a training.
   *
   * @param unetAt where the names of the UNet's parameters begin
   * @param controlAt where those of the ControlNet's begin
   * @param image of 0..1, [N,3,fH,fW]
   * @return the prediction, in the weights' dtype
   * @throws IllegalArgumentException for a UNet that asks for conditions, or another number of
   *     ControlNets
   */
  public Value emit(
      Scope unetAt, Scope controlAt, Value sample, Value timestep, Value context, Value image) {
    if (controls.size() != 1 || adapters != null || features != 0) {
      throw new IllegalArgumentException(
          "%d ControlNets were given; expected one, and no adapters.".formatted(controls.size()));
    }
    UNet2DCondition network = new UNet2DCondition(unet);
    network.requireNoConditions();
    UNet2DCondition.Inputs inputs =
        new UNet2DCondition.Inputs(sample, timestep, context, UNet2DCondition.Conditions.NONE);
    UNet2DCondition.Residuals residuals =
        new ControlNet(controls.get(0))
            .emit(
                controlAt,
                narrowed(controlAt.method(), inputs, controls.get(0)),
                image,
                null,
                null);
    return network.emit(unetAt, inputs, new UNet2DCondition.More(residuals, null, List.of()));
  }

  private List<Value> features(Method method, Value dtype) {
    List<Value> inputs = new ArrayList<>();
    for (int i = 0; i < features; i++) {
      inputs.add(method.castAs(method.input("feature_" + i, 4), dtype));
    }
    Value gate = method.unsqueeze(method.unsqueeze(method.input("featured", 1), 1), 2);
    Value scale = method.castAs(method.unsqueeze(gate, 3), dtype);
    return inputs.stream().map(each -> method.multiply(each, scale)).toList();
  }

  /** A UNet that takes a mask and a masked image has channels that a ControlNet does not see. */
  private UNet2DCondition.Inputs narrowed(
      Method method, UNet2DCondition.Inputs inputs, ControlNetConfig control) {
    int channels = control.way().inChannels();
    return channels == unet.inChannels()
        ? inputs
        : new UNet2DCondition.Inputs(
            method.narrow(inputs.sample(), 1, 0, channels),
            inputs.timestep(),
            inputs.context(),
            inputs.conditions());
  }

  private static UNet2DCondition.Residuals added(
      Method method, UNet2DCondition.Residuals a, UNet2DCondition.Residuals b) {
    List<Value> down = new ArrayList<>();
    for (int i = 0; i < a.down().size(); i++) {
      down.add(method.add(a.down().get(i), b.down().get(i)));
    }
    return new UNet2DCondition.Residuals(down, method.add(a.middle(), b.middle()));
  }
}
