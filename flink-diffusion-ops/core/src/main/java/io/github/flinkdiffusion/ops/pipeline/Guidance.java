package io.github.flinkdiffusion.ops.pipeline;

/** How the network's output for a trajectory's rows becomes one prediction. */
@FunctionalInterface
interface Guidance {

  /** One row, taken as it is. */
  Guidance NONE = (output, offset, size) -> copy(output, offset, size);

  /**
   * @param output of the network for the whole batch; not changed
   * @param offset where this trajectory's rows begin in it
   * @param size values of one row of the output
   * @return the prediction, a new array of {@code size} values
   */
  float[] combine(float[] output, int offset, int size);

  /**
   * Classifier-free guidance over two rows, unconditional first: equation 6 of Ho &amp; Salimans
   * 2022 as diffusers writes it, u + w (c - u).
   */
  static Guidance classifierFree(double scale) {
    float w = (float) scale;
    return (output, offset, size) -> {
      float[] prediction = new float[size];
      for (int i = 0; i < size; i++) {
        float unconditional = output[offset + i];
        prediction[i] = unconditional + w * (output[offset + size + i] - unconditional);
      }
      return prediction;
    };
  }

  /**
   * {@link #classifierFree} whose result is scaled towards the conditional row's standard
   * deviation, section 3.4 of Lin et al. 2023 (diffusers' rescale_noise_cfg).
   *
   * @param rescale 0 leaves the guided prediction, 1 gives it the conditional one's deviation
   */
  static Guidance rescaled(double scale, double rescale) {
    Guidance guided = classifierFree(scale);
    if (rescale == 0) {
      return guided;
    }
    return (output, offset, size) -> {
      float[] prediction = guided.combine(output, offset, size);
      double factor = deviation(output, offset + size, size) / deviation(prediction, 0, size);
      float total = (float) (rescale * factor + 1 - rescale);
      for (int i = 0; i < size; i++) {
        prediction[i] *= total;
      }
      return prediction;
    };
  }

  private static double deviation(float[] values, int offset, int size) {
    double sum = 0;
    for (int i = 0; i < size; i++) {
      sum += values[offset + i];
    }
    double mean = sum / size;
    double squares = 0;
    for (int i = 0; i < size; i++) {
      double difference = values[offset + i] - mean;
      squares += difference * difference;
    }
    return Math.sqrt(squares / (size - 1));
  }

  private static float[] copy(float[] output, int offset, int size) {
    float[] prediction = new float[size];
    System.arraycopy(output, offset, prediction, 0, size);
    return prediction;
  }
}
