package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import java.util.List;
import java.util.Optional;

/**
 * A task that denoises an autoencoder's latents: its samples are as large as the request's image
 * over the autoencoder's scale factor, its way is what its scheduler says, and the autoencoder
 * decodes.
 */
interface LatentTask extends Task {

  /**
   * What it works with.
   *
   * @param components all networks that it has loaded, to be closed with it
   */
  record Parts(
      Description description,
      Components components,
      SamplingPlans plans,
      Denoiser denoiser,
      Autoencoder autoencoder) {}

  Parts parts();

  @Override
  default Description description() {
    return parts().description();
  }

  @Override
  default SamplingPlan plan(GenerationRequest request) {
    return parts().plans().plan(request);
  }

  @Override
  default Optional<SampleShape> shape(GenerationRequest request) {
    return Optional.of(parts().autoencoder().latent(request.width(), request.height()));
  }

  @Override
  default Denoiser denoiser() {
    return parts().denoiser();
  }

  @Override
  default HostTensor.Floats decode(List<Sample> done) {
    return parts().autoencoder().decode(done);
  }

  @Override
  default void close() {
    parts().components().close();
  }
}
