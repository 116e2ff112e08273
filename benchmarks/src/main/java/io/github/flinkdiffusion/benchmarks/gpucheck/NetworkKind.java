/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks.gpucheck;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.DiT;
import io.github.flinkdiffusion.ops.network.DiTConfig;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.List;
import java.util.function.Function;

/** A class of networks, its name in the manifest, and which of its methods are called. */
enum NetworkKind {
  UNET("unet", NetworkKind::unet, true, "forward"),
  UNET_XL("unet-xl", NetworkKind::unet, true, "forward"),
  DIT("dit", config -> new DiT(DiTConfig.from(config)).graph(), true, "forward"),
  AUTOENCODER(
      "vae",
      config -> new AutoencoderKL(AutoencoderKLConfig.from(config)).graph(),
      false,
      "decode",
      "encode"),
  TEXT_ENCODER(
      "text",
      config -> new ClipText(ClipTextConfig.from(config)).graph(Arguments.TOKENS),
      false,
      "forward");

  private final String text;
  private final Function<Config, Graph> graph;
  private final boolean guided;
  private final List<String> methods;

  NetworkKind(String text, Function<Config, Graph> graph, boolean guided, String... methods) {
    this.text = text;
    this.graph = graph;
    this.guided = guided;
    this.methods = List.of(methods);
  }

  private static Graph unet(Config config) {
    return new UNet2DCondition(UNet2DConditionConfig.from(config)).graph();
  }

  /**
   * @param text as {@link #toString}
   */
  static NetworkKind of(String text) {
    for (NetworkKind kind : values()) {
      if (kind.text.equals(text)) {
        return kind;
      }
    }
    throw new IllegalArgumentException("The manifest names a network of kind '" + text + "'.");
  }

  Graph graph(Config config) {
    return graph.apply(config);
  }

  /** Whether an image takes two rows of each call, one with its prompt and one without. */
  boolean isGuided() {
    return guided;
  }

  /** What is called, the first for its speed as well. */
  List<Method> methods(Graph graph) {
    return methods.stream()
        .map(
            name ->
                graph.methods().stream()
                    .filter(method -> method.name().equals(name))
                    .findFirst()
                    .orElseThrow())
        .toList();
  }

  @Override
  public String toString() {
    return text;
  }
}
