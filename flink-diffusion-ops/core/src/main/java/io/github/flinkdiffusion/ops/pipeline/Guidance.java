/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Arrays;
import java.util.List;

/**
 * How the network's output for a trajectory's rows becomes one prediction: which rule, with which
 * scales. Data, so that an engine may do it where the output is.
 */
sealed interface Guidance {

  /** One row, taken as it is. */
  Guidance NONE = new None();

  /** Rows of a trajectory that it combines. */
  int rows();

  /** Which row is the one that is led to: the last one, unless a rule has others behind it. */
  default int conditional() {
    return rows() - 1;
  }

  /**
   * The rule at a call.
   *
   * @param timestep that the network is told
   */
  default Guidance at(double timestep) {
    return this;
  }

  /** The rule for the conditional row alone, where there is no guidance. */
  default Guidance off() {
    return NONE;
  }

  /**
   * @param output of the network for the whole batch; not changed
   * @param offset where this trajectory's rows begin in it
   * @param size values of one row of the output
   * @return the prediction, a new array of {@code size} values; of less, where the rule leaves the
   *     rest out
   */
  float[] combine(float[] output, int offset, int size);

  /** See {@link Guidance#NONE}. */
  record None() implements Guidance {
    @Override
    public int rows() {
      return 1;
    }

    @Override
    public float[] combine(float[] output, int offset, int size) {
      return Arrays.copyOfRange(output, offset, offset + size);
    }
  }

  /**
   * Classifier-free guidance over two rows, unconditional first: equation 6 of Ho &amp; Salimans
   * 2022 as diffusers writes it, u + w (c - u). Then scaled towards the conditional row's standard
   * deviation, section 3.4 of Lin et al. 2023 (diffusers' rescale_noise_cfg).
   *
   * @param scale w
   * @param rescale 0 leaves the guided prediction, 1 gives it the conditional one's deviation
   */
  record ClassifierFree(double scale, double rescale) implements Guidance {
    @Override
    public int rows() {
      return 2;
    }

    @Override
    public float[] combine(float[] output, int offset, int size) {
      float w = (float) scale;
      float[] prediction = new float[size];
      for (int i = 0; i < size; i++) {
        float unconditional = output[offset + i];
        prediction[i] = unconditional + w * (output[offset + size + i] - unconditional);
      }
      rescale(prediction, output, offset + size, rescale);
      return prediction;
    }

    /** Scales a prediction towards the deviation of the conditional row. */
    private static void rescale(
        float[] prediction, float[] output, int conditional, double rescale) {
      if (rescale == 0) {
        return;
      }
      int size = prediction.length;
      double factor = deviation(output, conditional, size) / deviation(prediction, 0, size);
      float total = (float) (rescale * factor + 1 - rescale);
      for (int i = 0; i < size; i++) {
        prediction[i] *= total;
      }
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
  }

  /**
   * Guidance by others, if any, and away from a last row, which is conditional too but leaves out
   * self-attentions: g + s (c - p), Ahn et al. 2024 as diffusers' PAG pipelines write it.
   *
   * @param guidance g, over all rows but the last; not rescaled
   * @param rescale as {@link ClassifierFree}'s, after this
   * @param scale s
   * @param adaptive by how much s is less for each timestep below 1000; s does not fall below 0
   * @param timestep of the call
   */
  record Perturbed(
      Guidance guidance, double rescale, double scale, double adaptive, double timestep)
      implements Guidance {
    private static final int TIMESTEPS = 1000;

    static Perturbed of(Guidance guidance, double scale, double adaptive) {
      return guidance instanceof ClassifierFree free
          ? new Perturbed(classifierFree(free.scale()), free.rescale(), scale, adaptive, TIMESTEPS)
          : new Perturbed(guidance, 0, scale, adaptive, TIMESTEPS);
    }

    @Override
    public Guidance at(double other) {
      return new Perturbed(guidance, rescale, scale, adaptive, other);
    }

    @Override
    public Guidance off() {
      return guidance.off();
    }

    @Override
    public int rows() {
      return guidance.rows() + 1;
    }

    @Override
    public int conditional() {
      return guidance.conditional();
    }

    @Override
    public float[] combine(float[] output, int offset, int size) {
      float[] prediction = guidance.combine(output, offset, size);
      int conditional = offset + conditional() * size;
      int perturbed = offset + guidance.rows() * size;
      float s = (float) Math.max(0, scale - adaptive * (TIMESTEPS - timestep));
      for (int i = 0; i < size; i++) {
        prediction[i] += s * (output[conditional + i] - output[perturbed + i]);
      }
      ClassifierFree.rescale(prediction, output, conditional, rescale);
      return prediction;
    }
  }

  /**
   * Guidance towards several texts at once, the unconditional row first: equation 11 of Liu et al.
   * 2022, u + w (a (c - u) + b (d - u) + ...).
   *
   * @param scale w
   * @param weights a, b, ...; one for each row after the first
   */
  record Composed(double scale, List<Double> weights) implements Guidance {
    @Override
    public int rows() {
      return 1 + weights.size();
    }

    @Override
    public float[] combine(float[] output, int offset, int size) {
      float[] prediction = Arrays.copyOfRange(output, offset, offset + size);
      for (int row = 0; row < weights.size(); row++) {
        float w = (float) (scale * weights.get(row));
        int start = offset + (row + 1) * size;
        for (int i = 0; i < size; i++) {
          prediction[i] += w * (output[start + i] - output[offset + i]);
        }
      }
      return prediction;
    }
  }

  /**
   * Guidance by a text and an image over three rows, with both, with the image alone, and with
   * neither: equation 3 of Brooks et al. 2023, n + t (b - i) + s (i - n).
   *
   * @param text t, the text's scale
   * @param image s, the image's scale
   */
  record TextAndImage(double text, double image) implements Guidance {
    @Override
    public int rows() {
      return 3;
    }

    @Override
    public float[] combine(float[] output, int offset, int size) {
      float t = (float) text;
      float s = (float) image;
      float[] prediction = new float[size];
      for (int i = 0; i < size; i++) {
        float both = output[offset + i];
        float imageAlone = output[offset + size + i];
        float neither = output[offset + 2 * size + i];
        prediction[i] = neither + t * (both - imageAlone) + s * (imageAlone - neither);
      }
      return prediction;
    }
  }

  /**
   * Classifier-free guidance over the first two of three rows, unconditional first, and away from
   * the third, which is conditional too but leaves out blocks of the network: u + w (c - u) + s (c
   * - l) (diffusers' skip-layer guidance of StableDiffusion3Pipeline).
   *
   * @param scale w
   * @param skipScale s
   */
  record SkippingLayers(double scale, double skipScale) implements Guidance {
    @Override
    public int rows() {
      return 3;
    }

    @Override
    public float[] combine(float[] output, int offset, int size) {
      float[] prediction = classifierFree(scale).combine(output, offset, size);
      float s = (float) skipScale;
      for (int i = 0; i < size; i++) {
        prediction[i] += s * (output[offset + size + i] - output[offset + 2 * size + i]);
      }
      return prediction;
    }
  }

  /**
   * Classifier-free guidance over two rows, unconditional first, whose prediction gets the length
   * of the conditional one, patch by patch (diffusers' true CFG of QwenImagePipeline).
   *
   * @param scale w
   * @param patch pixels along a side of a patch, whose values of all channels are one vector
   */
  record ByPatches(double scale, SampleShape shape, int patch) implements Guidance {
    @Override
    public int rows() {
      return 2;
    }

    @Override
    public float[] combine(float[] output, int offset, int size) {
      float[] prediction = classifierFree(scale).combine(output, offset, size);
      for (int y = 0; y < shape.height(); y += patch) {
        for (int x = 0; x < shape.width(); x += patch) {
          double factor = length(output, offset + size, y, x) / length(prediction, 0, y, x);
          for (int i = 0; i < shape.channels() * patch * patch; i++) {
            prediction[place(i, y, x)] *= (float) factor;
          }
        }
      }
      return prediction;
    }

    private double length(float[] values, int offset, int y, int x) {
      double squares = 0;
      for (int i = 0; i < shape.channels() * patch * patch; i++) {
        double value = values[offset + place(i, y, x)];
        squares += value * value;
      }
      return Math.sqrt(squares);
    }

    /** Where the i-th value of the patch at a corner lies. */
    private int place(int i, int y, int x) {
      int inPatch = i % (patch * patch);
      return i / (patch * patch) * shape.plane()
          + (y + inPatch / patch) * shape.width()
          + x
          + inPatch % patch;
    }
  }

  /**
   * Classifier-free guidance over two rows, unconditional first, whose prediction gets the length
   * of the conditional one, line by line of each channel (diffusers' {@code cfg_normalization} of
   * Lumina2Pipeline).
   *
   * @param scale w
   * @param width values of a line
   */
  record ByLines(double scale, int width) implements Guidance {
    @Override
    public int rows() {
      return 2;
    }

    @Override
    public float[] combine(float[] output, int offset, int size) {
      float[] prediction = classifierFree(scale).combine(output, offset, size);
      for (int line = 0; line < size; line += width) {
        double factor = length(output, offset + size + line) / length(prediction, line);
        for (int i = line; i < line + width; i++) {
          prediction[i] *= (float) factor;
        }
      }
      return prediction;
    }

    private double length(float[] values, int first) {
      double squares = 0;
      for (int i = first; i < first + width; i++) {
        squares += (double) values[i] * values[i];
      }
      return Math.sqrt(squares);
    }
  }

  /**
   * The first values of another's prediction: a learned variance behind them is not used.
   *
   * @param values of the prediction
   */
  record First(Guidance guidance, int values) implements Guidance {
    @Override
    public Guidance off() {
      return new First(guidance.off(), values);
    }

    @Override
    public int rows() {
      return guidance.rows();
    }

    @Override
    public float[] combine(float[] output, int offset, int size) {
      return Arrays.copyOf(guidance.combine(output, offset, size), values);
    }
  }

  /** Another's prediction with its sign turned around. */
  record Opposite(Guidance guidance) implements Guidance {
    @Override
    public Guidance off() {
      return new Opposite(guidance.off());
    }

    @Override
    public int rows() {
      return guidance.rows();
    }

    @Override
    public float[] combine(float[] output, int offset, int size) {
      float[] prediction = guidance.combine(output, offset, size);
      for (int i = 0; i < prediction.length; i++) {
        prediction[i] = -prediction[i];
      }
      return prediction;
    }
  }

  /** {@link ClassifierFree} that is not rescaled. */
  static Guidance classifierFree(double scale) {
    return new ClassifierFree(scale, 0);
  }
}
