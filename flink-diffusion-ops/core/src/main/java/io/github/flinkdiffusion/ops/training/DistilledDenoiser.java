/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.Scope;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DCondition.Conditions;
import org.apache.flink.annotation.Internal;

/** A denoising network as a distillation calls it: with another prompt or scale each time. */
@Internal
public interface DistilledDenoiser {
  /**
   * Emits the network.
   *
   * @param root where its parameters' names begin
   * @param noisy [N,C,h,w]
   * @param timestep [N]
   * @param context the encoded prompt [N,T,D]; null for a network without prompts
   * @param guidance the embedded guidance scale [N,E]; null for a network that embeds none
   */
  Value emit(Scope root, Value noisy, Value timestep, Value context, Value guidance);

  /** Without conditions. */
  static DistilledDenoiser unconditional(UNet2D unet) {
    return (root, noisy, timestep, context, guidance) -> unet.emit(root, noisy, timestep, null);
  }

  /** Conditioned on a prompt, and on a guidance scale if its config says so. */
  static DistilledDenoiser ofContext(UNet2DCondition unet) {
    return (root, noisy, timestep, context, guidance) ->
        unet.emit(
            root,
            noisy,
            timestep,
            context,
            new Conditions(null, guidance, null, null, null, null, null));
  }
}
