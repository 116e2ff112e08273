package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.Scope;

/**
 * The loss of an autoencoder: mean absolute and mean squared error of the reconstruction, plus a
 * small Kullback-Leibler term that keeps latents near a standard normal (Rombach et al. 2022,
 * appendix G).
 *
 * <p>{@code forward(image [N,C,H,W] in -1..1, noise [N,latent,h,w])}.
 *
 * @param autoencoder the network
 * @param latentChannels its latent channels
 * @param divergenceWeight weight of the Kullback-Leibler term, a mean over latent elements
 */
public record AutoencoderObjective(
    AutoencoderKL autoencoder, int latentChannels, double divergenceWeight) {

  /** Bounds of the log variance in diffusers' DiagonalGaussianDistribution. */
  private static final double MINIMUM_LOG_VARIANCE = -30;

  private static final double MAXIMUM_LOG_VARIANCE = 20;

  /** The graph of the loss. */
  public Graph graph() {
    Graph graph = new Graph();
    Method m = graph.method("forward");
    Value image = m.input("image", 4);
    Value noise = m.input("noise", 4);
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
    Value reconstruction =
        m.add(m.meanAbsoluteError(output, image), m.meanSquaredError(output, image));
    m.returns(m.add(reconstruction, m.multiply(divergence, 0.5 * divergenceWeight)));
    return graph;
  }
}
