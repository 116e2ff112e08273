/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.Scope;
import org.apache.flink.annotation.Internal;

/**
 * The loss of a denoising network: the weighted distance of its prediction from what it is to
 * predict.
 *
 * <p>{@code forward(clean [N,C,h,w], noise [N,C,h,w], signal [N,1,1,1], noise_level [N,1,1,1],
 * timestep [N], weight [N,1,1,1])}, then {@code threshold [N,1,1,1]} if the distance has one, then
 * {@code posterior [N,6,1,1]} if variances are learned, then the network's conditions. {@link
 * DiffusionInputs} makes them.
 *
 * @param denoiser the network and its conditions
 * @param channels C
 * @param target what it predicts
 * @param distance of the prediction from it
 * @param variance whether the network predicts variances, too
 */
@Internal
public record DiffusionObjective(
    Denoiser denoiser,
    int channels,
    PredictionTarget target,
    Distance distance,
    Variance variance) {

  /** Whether a network predicts variances beside its prediction. */
  public enum Variance {
    /** It does not. */
    FIXED,
    /**
     * It does, between the least and the greatest ({@code learned_range}), trained by the
     * variational bound, whose gradient goes to the variances alone, with a small weight (Nichol
     * and Dhariwal 2021, the hybrid loss).
     */
    LEARNED_RANGE
  }

  public DiffusionObjective {
    if (variance == Variance.LEARNED_RANGE && target == PredictionTarget.FLOW) {
      throw new IllegalArgumentException(
          "Flow matching has no posterior, so it learns no variance; use a fixed one.");
    }
  }

  /** The squared distance, with fixed variances. */
  public DiffusionObjective(Denoiser denoiser, int channels, PredictionTarget target) {
    this(denoiser, channels, target, Distance.SQUARED, Variance.FIXED);
  }

  /** The graph of the loss. */
  public Graph graph() {
    Graph graph = new Graph();
    Method m = graph.method("forward");
    Value clean = m.input("clean", 4);
    Value noise = m.input("noise", 4);
    Value signal = m.input("signal", 4);
    Value noiseLevel = m.input("noise_level", 4);
    Value timestep = m.input("timestep", 1);
    Value weight = m.input("weight", 4);
    Value threshold = distance.hasThreshold() ? m.input("threshold", 4) : null;
    Value posterior = variance == Variance.LEARNED_RANGE ? m.input("posterior", 4) : null;
    Value noisy = m.add(m.multiply(signal, clean), m.multiply(noiseLevel, noise));
    Value output = m.toFloat(denoiser.emit(new Scope(m, ""), noisy, timestep));
    Value prediction = posterior == null ? output : m.narrow(output, 1, 0, channels);
    Value wanted =
        switch (target) {
          case EPSILON -> noise;
          case SAMPLE -> clean;
          case V -> m.subtract(m.multiply(signal, noise), m.multiply(noiseLevel, clean));
          case FLOW -> m.subtract(noise, clean);
        };
    Value loss = m.mean(m.multiply(weight, distance.between(m, prediction, wanted, threshold)));
    if (posterior == null) {
      m.returns(loss);
      return graph;
    }
    Value frozen = m.detach(prediction);
    Value image =
        switch (target) {
          case EPSILON -> m.divide(m.subtract(noisy, m.multiply(noiseLevel, frozen)), signal);
          case V -> m.subtract(m.multiply(signal, noisy), m.multiply(noiseLevel, frozen));
          default -> frozen;
        };
    Value share = m.narrow(output, 1, channels, channels);
    m.returns(m.add(loss, new VariationalBound(m, posterior).of(clean, noisy, image, share)));
    return graph;
  }
}
