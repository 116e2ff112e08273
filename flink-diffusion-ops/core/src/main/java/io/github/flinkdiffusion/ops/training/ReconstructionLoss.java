/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;
import org.apache.flink.annotation.Internal;

/**
 * How far an image is from the one it is to be.
 *
 * @param absolute weight of the mean absolute error
 * @param squared weight of the mean squared error
 * @param edges weight of the mean absolute error of edges, as Sobel's filters see them: what blurs
 *     first
 */
@Internal
public record ReconstructionLoss(double absolute, double squared, double edges) {
  /** Mean absolute plus mean squared error. */
  public static final ReconstructionLoss DEFAULT = new ReconstructionLoss(1, 1, 0);

  private static final float[] ACROSS = {-1, 0, 1, -2, 0, 2, -1, 0, 1};
  private static final float[] DOWN = {-1, -2, -1, 0, 0, 0, 1, 2, 1};

  public ReconstructionLoss {
    if (!(absolute >= 0 && squared >= 0 && edges >= 0 && absolute + squared > 0)) {
      throw new IllegalArgumentException(
          "Weights of a reconstruction are %s, %s and %s; none may be negative, and absolute or squared must count."
              .formatted(absolute, squared, edges));
    }
  }

  Value of(Method m, Value output, Value image) {
    Value loss =
        m.add(
            m.multiply(m.meanAbsoluteError(output, image), absolute),
            m.multiply(m.meanSquaredError(output, image), squared));
    if (edges == 0) {
      return loss;
    }
    // Of the difference, since filters are linear: in bfloat16 its rounding is small, too.
    Value difference = m.unsqueeze(m.flatten(m.subtract(output, image), 0, 1), 1);
    Value across = meanAbsolute(m, filtered(m, difference, "sobel.across", ACROSS));
    Value down = meanAbsolute(m, filtered(m, difference, "sobel.down", DOWN));
    return m.add(loss, m.multiply(m.add(across, down), edges / 2));
  }

  private static Value filtered(Method m, Value planes, String name, float[] filter) {
    Value weight = m.unflatten(m.graph().constant(name, filter), 0, 1, 1, 3, 3);
    return m.toFloat(m.conv2d(planes, weight, null, 1, 0));
  }

  private static Value meanAbsolute(Method m, Value x) {
    return m.meanAbsoluteError(x, m.multiply(m.detach(x), 0));
  }
}
