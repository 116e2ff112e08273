package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Graph;
import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.Scope;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;

/**
 * The loss of a text-conditioned denoising network that is trained together with its text encoder:
 * mean squared error of the v-prediction (Salimans & Ho 2022, appendix D: v = alpha * noise - sigma
 * * x).
 *
 * <p>{@code forward(latent [N,C,h,w], noise [N,C,h,w], alpha [N,1,1,1], sigma [N,1,1,1], timestep
 * [N], ids int64 [N,tokens])}. Parameters stand under {@code text_encoder.} and {@code unet.}.
 *
 * @param textEncoder encodes the prompt
 * @param unet predicts v
 * @param tokens length of the id sequences
 */
public record DenoisingObjective(ClipText textEncoder, UNet2DCondition unet, int tokens) {
  public static final String TEXT_ENCODER = "text_encoder";
  public static final String UNET = "unet";

  /** The graph of the loss. */
  public Graph graph() {
    Graph graph = new Graph();
    Method m = graph.method("forward");
    Value latent = m.input("latent", 4);
    Value noise = m.input("noise", 4);
    Value alpha = m.input("alpha", 4);
    Value sigma = m.input("sigma", 4);
    Value timestep = m.input("timestep", 1);
    Value ids = m.integers("ids", 2);
    Scope root = new Scope(m, "");
    Value context = textEncoder.emit(root.child(TEXT_ENCODER), ids, tokens);
    Value noisy = m.add(m.multiply(alpha, latent), m.multiply(sigma, noise));
    Value target = m.subtract(m.multiply(alpha, noise), m.multiply(sigma, latent));
    Value prediction = unet.emit(root.child(UNET), noisy, timestep, context);
    m.returns(m.meanSquaredError(m.toFloat(prediction), target));
    return graph;
  }
}
