package io.github.flinkdiffusion.ops.pipeline;

/**
 * Shape of one latent; trajectories of equal shape share network calls.
 *
 * @param channels of the latent
 * @param height in latent pixels
 * @param width in latent pixels
 */
record LatentShape(int channels, int height, int width) {
  int size() {
    return channels * height * width;
  }
}
