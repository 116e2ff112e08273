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
 * A UNet and the ControlNets that add to it, as one graph. A row has a scale for each residual of
 * each ControlNet, so rows with and without control share a call: zeros leave a row as it is.
 */
@Internal
public final class ControlledUNet {
  private final UNet2DConditionConfig unet;
  private final List<ControlNetConfig> controls;

  /**
   * @throws IllegalArgumentException for none, or one whose residuals do not fit the UNet
   */
  public ControlledUNet(UNet2DConditionConfig unet, List<ControlNetConfig> controls) {
    this.unet = unet;
    this.controls = List.copyOf(controls);
    if (controls.isEmpty() || !controls.stream().allMatch(each -> fits(unet, each))) {
      throw new IllegalArgumentException("The UNet takes nothing of these ControlNets.");
    }
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

  /** The method in which all ControlNets add to the UNet. */
  public static String all() {
    return "controlled";
  }

  /** The method in which one ControlNet alone does. */
  public static String alone(int control) {
    return "controlled_" + control;
  }

  /** The prefix of a ControlNet's parameters, which is its component's name in a model folder. */
  public static String component(int control) {
    return control == 0 ? "controlnet" : "controlnet_" + control;
  }

  /**
   * {@link UNet2DCondition#graph}, and more methods: {@link #alone} for each ControlNet, which
   * takes after all other inputs {@code image} [N,3,fH,fW] of 0..1 and {@code scales} [N,R], see
   * {@link ControlNet#graph}; and if there are several, {@link #all}, which takes these pairs of
   * all of them in turn. Parameters of the UNet have its checkpoint's names, those of a ControlNet
   * stand behind {@link #component} and a dot.
   */
  public Graph graph() {
    Graph graph = new UNet2DCondition(unet).graph();
    for (int i = 0; i < controls.size(); i++) {
      method(graph, alone(i), List.of(i));
    }
    if (controls.size() > 1) {
      List<Integer> every = new ArrayList<>();
      for (int i = 0; i < controls.size(); i++) {
        every.add(i);
      }
      method(graph, all(), every);
    }
    return graph;
  }

  private void method(Graph graph, String name, List<Integer> seen) {
    Method method = graph.method(name);
    UNet2DCondition network = new UNet2DCondition(unet);
    UNet2DCondition.Inputs inputs = network.inputs(method);
    UNet2DCondition.Residuals sum = null;
    for (int i : seen) {
      Value image = method.input("image_" + i, 4);
      Value scales = method.input("scales_" + i, 2);
      Scope at = new Scope(method, component(i) + ".");
      ControlNetConfig control = controls.get(i);
      UNet2DCondition.Residuals own =
          new ControlNet(control).emit(at, narrowed(method, inputs, control), image, scales);
      sum = sum == null ? own : added(method, sum, own);
    }
    method.returns(method.toFloat(network.emit(new Scope(method, ""), inputs, sum)));
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
