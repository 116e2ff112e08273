/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Map;
import org.apache.flink.annotation.Internal;

/**
 * Weights that the training of a ControlNet begins with: its way down and middle are the UNet's,
 * and the convolutions through which it adds to the UNet are zeros. So it begins by changing
 * nothing (Zhang et al. 2023).
 */
@Internal
public final class ControlNetWeights implements ParameterSource {
  /** The last convolution that the control image passes, and those of the residuals. */
  private static final String ZEROS =
      "controlnet\\.(controlnet_cond_embedding\\.conv_out|controlnet_down_blocks\\.\\d+|controlnet_mid_block)\\..*";

  private final ParameterSource source;

  public ControlNetWeights(TensorStore unet, TensorStore textEncoder, long seed) {
    this.source =
        new WarmStart(
            Map.of(
                Denoiser.UNET + ".",
                unet,
                Denoiser.CONTROLNET + ".",
                unet,
                Denoiser.TEXT_ENCODER + ".",
                textEncoder),
            new WeightInitializer(seed, name -> name.matches(ZEROS)));
  }

  /** Whether a parameter is the ControlNet's, which alone is trained. */
  public static boolean isControlNet(String parameter) {
    return parameter.startsWith(Denoiser.CONTROLNET + ".");
  }

  @Override
  public void write(String name, long[] shape, OutputStream out) throws IOException {
    source.write(name, shape, out);
  }
}
