/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Optional;

/**
 * What a task tells of itself, whatever the request.
 *
 * @param signature what its requests may say
 * @param imageChannels see {@link Model#imageChannels}
 * @param tiling see {@link Model#tiling}
 */
record Description(Signature signature, int imageChannels, Optional<Tiling> tiling) {

  /** Of a task that gets no image, or an RGB one, and works on it whole. */
  Description(Signature signature) {
    this(signature, 3, Optional.empty());
  }
}
