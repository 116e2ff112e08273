/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.ControlNetConfig;
import io.github.flinkdiffusion.ops.network.ControlledUNet;
import io.github.flinkdiffusion.ops.network.IpAdapterShape;
import io.github.flinkdiffusion.ops.network.IpAdapters;
import io.github.flinkdiffusion.ops.network.T2IAdapterConfig;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * A UNet that runs as one graph with the ControlNets and IP-Adapters of its model, and with what
 * its T2I-Adapters give. Rows that take part in none of them, in one or in several share calls; a
 * call leaves out what none of its rows needs.
 */
final class SharedUNet {
  /** An IP-Adapter's inputs: its tokens, which of them are there, and its scale. */
  private static final int IMAGE_INPUTS = 3;

  private SharedUNet() {}

  /**
   * Loads it. A row has the inputs of the conditioning, then those of the ControlNets, then those
   * of the T2I-Adapters, then those of the IP-Adapters.
   */
  static Denoiser load(
      Components components,
      UNet2DConditionConfig unet,
      Conditioning conditioning,
      Optional<Control> control,
      Optional<T2IAdapters> features,
      Optional<ImagePrompts> images) {
    List<ControlNetConfig> controls = control.map(Control::networks).orElse(List.of());
    List<IpAdapterShape> adapters = images.map(ImagePrompts::adapters).orElse(List.of());
    List<String> names = new ArrayList<>();
    List<Denoiser.Input> inputs = new ArrayList<>(Arrays.asList(conditioning.inputs()));
    List<NetworkParts.Part> parts = new ArrayList<>();
    for (int i = 0; i < controls.size(); i++) {
      int first = inputs.size();
      names.add(ControlledUNet.component(i));
      inputs.add(
          Denoiser.Input.image(
              controls.get(i).conditioningChannels(), controls.get(i).scaleFactor()));
      controls.get(i).union().ifPresent(each -> inputs.add(Denoiser.Input.floats(each.kinds())));
      inputs.add(Denoiser.Input.floats(controls.get(i).residuals()));
      parts.add(new NetworkParts.Part(first, inputs.size()));
    }
    List<T2IAdapterConfig.Feature> given = features.map(T2IAdapters::features).orElse(List.of());
    for (T2IAdapterConfig.Feature feature : given) {
      inputs.add(
          Denoiser.Input.feature(feature.channels(), features.orElseThrow().divisor(feature)));
    }
    if (!given.isEmpty()) {
      inputs.add(Denoiser.Input.floats());
      parts.add(new NetworkParts.Part(inputs.size() - given.size() - 1, inputs.size()));
    }
    int firstImages = parts.size();
    for (int i = 0; i < adapters.size(); i++) {
      names.add(IpAdapters.component(i));
      inputs.add(Denoiser.Input.vectors(adapters.get(i).contextSize()));
      inputs.add(Denoiser.Input.floats(Denoiser.Input.ANY));
      inputs.add(Denoiser.Input.floats());
      parts.add(new NetworkParts.Part(inputs.size() - IMAGE_INPUTS, inputs.size()));
    }
    ControlledUNet network = new ControlledUNet(unet, controls, adapters, given.size());
    return Denoiser.of(
            components.loadJoined("unet", names, network.graph()),
            inputs.toArray(Denoiser.Input[]::new))
        .with(
            new NetworkParts(
                parts, open -> choice(network, controls.size(), firstImages, parts.size(), open)));
  }

  /**
   * One ControlNet is called alone, several all together; IP-Adapters always are.
   *
   * @param controls parts that are ControlNets, the first ones
   * @param images the first part that is an IP-Adapter; before it may be the T2I-Adapters'
   */
  private static NetworkParts.Choice choice(
      ControlledUNet network, int controls, int images, int end, List<Integer> open) {
    List<Integer> controlled = open.stream().filter(part -> part < controls).toList();
    boolean featured = open.stream().anyMatch(part -> part >= controls && part < images);
    boolean shown = open.stream().anyMatch(part -> part >= images);
    List<Integer> called = controlled.size() > 1 ? numbers(0, controls) : controlled;
    List<Integer> parts = new ArrayList<>(called);
    if (featured) {
      parts.add(controls);
    }
    if (shown) {
      parts.addAll(numbers(images, end));
    }
    return new NetworkParts.Choice(network.method(called, featured, shown), parts);
  }

  private static List<Integer> numbers(int from, int to) {
    return IntStream.range(from, to).boxed().toList();
  }
}
