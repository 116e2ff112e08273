/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.Scope;
import org.apache.flink.annotation.Internal;

/**
 * The loss of an autoencoder's decoder alone, for latents that stay as they are. Refining the
 * decoder sharpens pictures without invalidating a denoising network that was trained on the
 * latents.
 *
 * <p>{@code forward(latent [N,latent,h,w] unscaled, image [N,C,H,W] in -1..1)}. Parameters carry
 * the autoencoder's names.
 *
 * @param autoencoder the network whose decoder is trained
 * @param reconstruction what counts how much in the image
 */
@Internal
public record DecoderObjective(AutoencoderKL autoencoder, ReconstructionLoss reconstruction) {

  /** The graph of the loss. */
  public Graph graph() {
    Graph graph = new Graph();
    Method m = graph.method("forward");
    Value latent = m.input("latent", 4);
    Value image = m.input("image", 4);
    Value output = m.toFloat(autoencoder.decode(new Scope(m, ""), latent));
    m.returns(reconstruction.of(m, output, image));
    return graph;
  }
}
