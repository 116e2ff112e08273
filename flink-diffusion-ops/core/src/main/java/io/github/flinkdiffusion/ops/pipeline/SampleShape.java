package io.github.flinkdiffusion.ops.pipeline;

/**
 * Shape of one sample, a latent or a picture; trajectories of equal shape share network calls.
 *
 * @param channels of the sample
 * @param height in the sample's pixels
 * @param width in the sample's pixels
 */
record SampleShape(int channels, int height, int width) {
  int size() {
    return channels * height * width;
  }

  /** Values of one channel. */
  int plane() {
    return height * width;
  }
}
