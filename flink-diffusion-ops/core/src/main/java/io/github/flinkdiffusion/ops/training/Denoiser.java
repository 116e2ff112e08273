/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Value;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ControlledUNet;
import io.github.flinkdiffusion.ops.network.Scope;
import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import org.apache.flink.annotation.Internal;

/**
 * A denoising network as an objective sees it: it declares the inputs that are its conditions, in
 * order, and predicts from a noisy sample.
 */
@Internal
public interface Denoiser {
  String TEXT_ENCODER = "text_encoder";
  String UNET = "unet";
  String CONTROLNET = "controlnet";

  /**
   * Emits the network.
   *
   * @param root where its parameters' names begin
   * @param noisy [N,C,h,w]
   * @param timestep [N]
   * @return the prediction, with a variance's behind it if the network learns one
   */
  Value emit(Scope root, Value noisy, Value timestep);

  /** Without conditions. Parameters carry the network's own names. */
  static Denoiser unconditional(UNet2D unet) {
    return (root, noisy, timestep) -> unet.emit(root, noisy, timestep, null);
  }

  /** Conditioned on {@code labels} [N], class numbers as int64. */
  static Denoiser ofClasses(UNet2D unet) {
    return (root, noisy, timestep) ->
        unet.emit(root, noisy, timestep, root.method().integers("labels", 1));
  }

  /**
   * Conditioned on further channels behind the noisy sample (SR3, SegDiff): {@code condition}
   * [N,D,h,w].
   */
  static Denoiser concatenated(UNet2D unet) {
    return (root, noisy, timestep) -> {
      Value condition = root.method().input("condition", 4);
      return unet.emit(root, root.method().concatenate(1, noisy, condition), timestep, null);
    };
  }

  /** Conditioned on an encoded prompt: {@code context} [N,T,D]. Its encoder is not trained. */
  static Denoiser ofContext(UNet2DCondition unet) {
    return (root, noisy, timestep) ->
        unet.emit(root, noisy, timestep, root.method().input("context", 3));
  }

  /**
   * Conditioned on a prompt: {@code ids} [N,tokens], int64. Parameters stand under {@code
   * text_encoder.} and {@code unet.}, so either may be trained, or adapters of both.
   */
  static Denoiser ofText(ClipText textEncoder, UNet2DCondition unet, int tokens) {
    return (root, noisy, timestep) -> {
      Value ids = root.method().integers("ids", 2);
      Value context = textEncoder.emit(root.child(TEXT_ENCODER), ids, tokens);
      return unet.emit(root.child(UNET), noisy, timestep, context);
    };
  }

  /**
   * Conditioned on a prompt as {@link #ofText}, and on a control image: {@code ids}, then {@code
   * image} [N,3,fh,fw] of 0..1. The ControlNet's parameters stand under {@code controlnet.}.
   *
   * @param unet with one ControlNet
   */
  static Denoiser ofControl(ClipText textEncoder, ControlledUNet unet, int tokens) {
    return (root, noisy, timestep) -> {
      Value ids = root.method().integers("ids", 2);
      Value image = root.method().input("image", 4);
      Value context = textEncoder.emit(root.child(TEXT_ENCODER), ids, tokens);
      return unet.emit(root.child(UNET), root.child(CONTROLNET), noisy, timestep, context, image);
    };
  }
}
