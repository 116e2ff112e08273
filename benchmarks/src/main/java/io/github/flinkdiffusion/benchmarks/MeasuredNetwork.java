/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DConfig;
import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import io.github.flinkdiffusion.ops.weights.Config;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A network that is measured, and its shapes.
 *
 * @param name of the model
 * @param folder with config.json and weights
 * @param graph what it computes
 * @param channels of the sample
 * @param height of the sample
 * @param width of the sample
 * @param context size of a token's embedding; 0 for a network that sees no tokens
 */
record MeasuredNetwork(
    String name, Path folder, Graph graph, int channels, int height, int width, int context) {
  private static final int LATENT_SCALE = 8;
  private static final int TOKENS = 77;
  private static final float TIMESTEP = 500;

  /**
   * @param pixels side of the image; empty for the sample size of the config
   */
  static MeasuredNetwork at(String name, Path folder, Optional<Integer> pixels) throws IOException {
    Config config = Config.read(folder.resolve("config.json"));
    JsonNode side = config.node().path("sample_size");
    int height =
        pixels
            .map(all -> all / LATENT_SCALE)
            .orElseGet((side.isArray() ? side.get(0) : side)::asInt);
    int width =
        pixels
            .map(all -> all / LATENT_SCALE)
            .orElseGet((side.isArray() ? side.get(1) : side)::asInt);
    boolean sees = config.node().path("_class_name").asText().equals("UNet2DConditionModel");
    return new MeasuredNetwork(
        name,
        folder,
        sees
            ? RandomStableDiffusion.unetGraph(config)
            : new UNet2D(UNet2DConfig.from(config)).graph(),
        config.integer("in_channels"),
        height,
        width,
        sees ? config.integer("cross_attention_dim") : 0);
  }

  /** The very numbers that the peers draw. */
  HostTensor[] inputs(int batch) {
    TorchGenerator generator = new TorchGenerator(1);
    int sample = batch * channels() * height() * width();
    float[] timesteps = new float[batch];
    Arrays.fill(timesteps, TIMESTEP);
    List<HostTensor> inputs = new ArrayList<>();
    inputs.add(
        new HostTensor.Floats(generator.gaussian(sample), batch, channels(), height(), width()));
    inputs.add(new HostTensor.Floats(timesteps, batch));
    if (context() > 0) {
      inputs.add(
          new HostTensor.Floats(
              generator.gaussian(batch * TOKENS * context()), batch, TOKENS, context()));
    }
    return inputs.toArray(HostTensor[]::new);
  }

  /** The same for the side in Python. */
  Map<String, Object> shapes(int batch) {
    return Map.of(
        "batch", batch,
        "channels", channels(),
        "height", height(),
        "width", width(),
        "tokens", TOKENS,
        "context", context(),
        "timestep", TIMESTEP);
  }
}
