/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A task that denoises an autoencoder's latents: its samples are as large as the request's image
 * over the autoencoder's scale factor, and the autoencoder decodes. Unless it says otherwise, a
 * request begins with noise alone, so a task is hardly more than its {@link #conditions}.
 */
interface LatentTask extends Task {

  default Autoencoder autoencoder() {
    return parts().autoencoder().orElseThrow();
  }

  /** What requests are conditioned on, encoded in as few calls as can be. Device thread. */
  List<Conditions> conditions(List<GenerationRequest> requests);

  @Override
  default List<Beginning> begin(List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    List<Conditions> conditions = conditions(requests);
    List<Beginning> beginnings = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      beginnings.add(begin(requests.get(i), conditions.get(i), noises.get(i)));
    }
    return beginnings;
  }

  /** One request's; draws its noise in the reference's order. */
  default Beginning begin(GenerationRequest request, Conditions conditions, TrajectoryNoise noise) {
    SampleShape shape = shape(request).orElseThrow();
    SamplerState state = SamplerState.start(plan(request), Variation.noise(request, noise, shape));
    return new Beginning(shape, state, conditions);
  }

  @Override
  default Optional<SampleShape> shape(GenerationRequest request) {
    return Optional.of(autoencoder().latent(request.width(), request.height()));
  }

  @Override
  default HostTensor.Floats decode(List<Sample> done) {
    return autoencoder().decode(done);
  }
}
