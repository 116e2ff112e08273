/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;

/**
 * The sides of an image that a latent network takes, in pixels.
 *
 * @param factor what sides are multiples of
 * @param least the smallest side, a multiple of the factor
 */
record SideLimits(int factor, int least) {

  static SideLimits of(Autoencoder autoencoder, UNet2DConditionConfig unet) {
    return of(autoencoder, unet, 1);
  }

  /**
   * @param multiple of latent pixels that the task itself wants
   */
  static SideLimits of(Autoencoder autoencoder, UNet2DConditionConfig unet, int multiple) {
    int scale = autoencoder.format().scaleFactor();
    int factor = scale * Math.max(multiple, unet.sideMultiple());
    return new SideLimits(factor, Math.max(factor, scale * unet.leastSide()));
  }

  /**
   * @throws InvalidRequestException unless both sides of the request's image are within these
   */
  void check(GenerationRequest request) {
    Sides.checkPicture(request, factor, least);
  }
}
