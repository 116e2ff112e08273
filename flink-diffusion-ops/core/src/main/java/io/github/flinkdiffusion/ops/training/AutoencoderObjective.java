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
 * The loss of an autoencoder: the reconstruction's, plus a small Kullback-Leibler term that keeps
 * latents near a standard normal (Rombach et al. 2022, appendix G).
 *
 * <p>{@code forward(image [N,C,H,W] in -1..1, noise [N,latent,h,w], divergence_weight [1])}. The
 * weight, of a mean over latent elements, is an input because it rises slowly: an encoder whose
 * latents are to be normal before they say anything never says anything.
 *
 * @param autoencoder the network
 * @param latentChannels its latent channels
 * @param reconstruction what counts how much in the image
 */
@Internal
public record AutoencoderObjective(
    AutoencoderKL autoencoder, int latentChannels, ReconstructionLoss reconstruction) {

  /** Bounds of the log variance in diffusers' DiagonalGaussianDistribution. */
  private static final double MINIMUM_LOG_VARIANCE = -30;

  private static final double MAXIMUM_LOG_VARIANCE = 20;

  /** The graph of the loss. */
  public Graph graph() {
    Graph graph = new Graph();
    Method m = graph.method("forward");
    Value image = m.input("image", 4);
    Value noise = m.input("noise", 4);
    Value divergenceWeight = m.input("divergence_weight", 1);
    Scope root = new Scope(m, "");
    Value moments = m.toFloat(autoencoder.encode(root, image));
    Value mean = m.narrow(moments, 1, 0, latentChannels);
    Value logVariance =
        m.clamp(
            m.narrow(moments, 1, latentChannels, latentChannels),
            MINIMUM_LOG_VARIANCE,
            MAXIMUM_LOG_VARIANCE);
    Value latent = m.add(mean, m.multiply(m.exp(m.multiply(logVariance, 0.5)), noise));
    Value output = m.toFloat(autoencoder.decode(root, latent));
    Value divergence =
        m.mean(
            m.add(m.subtract(m.add(m.multiply(mean, mean), m.exp(logVariance)), logVariance), -1));
    Value weighted = m.mean(m.multiply(divergenceWeight, m.multiply(divergence, 0.5)));
    m.returns(m.add(reconstruction.of(m, output, image), weighted));
    return graph;
  }
}
