package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.Scope;
import io.github.flinkdiffusion.ops.network.UNet2D;

/**
 * The loss of a denoising network that sees its condition as further channels behind the noisy
 * sample (SR3, SegDiff): mean squared error of the clean sample that it predicts ({@code
 * prediction_type: sample}).
 *
 * <p>Predicting the clean sample makes the first of few steps the best guess there is, which a mean
 * over several samples comes back to.
 *
 * <p>{@code forward(clean [N,C,h,w], noise [N,C,h,w], alpha [N,1,1,1], sigma [N,1,1,1], timestep
 * [N], condition [N,D,h,w])}. Parameters carry the network's own names.
 *
 * @param unet takes C + D channels, gives C
 */
public record ConcatenationObjective(UNet2D unet) {

  /** The graph of the loss. */
  public Graph graph() {
    Graph graph = new Graph();
    Method m = graph.method("forward");
    Value clean = m.input("clean", 4);
    Value noise = m.input("noise", 4);
    Value alpha = m.input("alpha", 4);
    Value sigma = m.input("sigma", 4);
    Value timestep = m.input("timestep", 1);
    Value condition = m.input("condition", 4);
    Value noisy = m.add(m.multiply(alpha, clean), m.multiply(sigma, noise));
    Value seen = m.concatenate(1, noisy, condition);
    Value prediction = unet.emit(new Scope(m, ""), seen, timestep, null);
    m.returns(m.meanSquaredError(m.toFloat(prediction), clean));
    return graph;
  }
}
