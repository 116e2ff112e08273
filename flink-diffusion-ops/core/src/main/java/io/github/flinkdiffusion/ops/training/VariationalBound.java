/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.Method;
import io.github.flinkdiffusion.ops.graph.Value;

/**
 * The term of the variational bound at each row's noise level, in bits a dimension (Ho et al. 2020,
 * formula 5; Nichol and Dhariwal 2021): the divergence of the network's step from the posterior,
 * and at the least level the likelihood of the sample, whose values are multiples of 2/255.
 *
 * @param m where operations are added
 * @param posterior {@link #INPUTS} numbers a row: shares of the clean and of the noisy sample in
 *     the mean, least and greatest log variance, 1 at level 0 else 0, weight
 */
record VariationalBound(Method m, Value posterior) {
  static final int INPUTS = 6;

  /** Of the sum over all levels (Nichol & Dhariwal 2021). */
  static final double WEIGHT = 0.001;

  private static final double HALF_STEP = 1.0 / 255;
  private static final double LEAST_PROBABILITY = 1e-12;

  /** Where a value is so near the end of its range that the tail belongs to it. */
  private static final double TAIL = 0.999;

  private static final double STEEP = 1e30;

  /**
   * @param image the clean sample that the network predicts; no gradient goes into it
   * @param share -1 for the least variance, 1 for the greatest
   */
  Value of(Value clean, Value noisy, Value image, Value share) {
    Value least = at(2);
    Value range = m.subtract(at(3), least);
    Value logVariance = m.add(least, m.multiply(m.multiply(m.add(share, 1), 0.5), range));
    Value mean = mean(image, noisy);
    Value trueMean = mean(clean, noisy);
    Value apart = m.subtract(trueMean, mean);
    Value divergence =
        m.multiply(
            m.add(
                m.add(
                    m.add(m.subtract(logVariance, least), m.exp(m.subtract(least, logVariance))),
                    m.multiply(m.multiply(apart, apart), m.exp(m.multiply(logVariance, -1)))),
                -1),
            0.5);
    Value likelihood = logLikelihood(clean, mean, logVariance);
    Value isFirst = at(4);
    Value term =
        m.subtract(
            m.multiply(m.add(m.multiply(isFirst, -1), 1), divergence),
            m.multiply(isFirst, likelihood));
    return m.multiply(m.mean(m.multiply(at(5), term)), 1 / Math.log(2));
  }

  private Value at(int index) {
    return m.narrow(posterior, 1, index, 1);
  }

  private Value mean(Value image, Value noisy) {
    return m.add(m.multiply(at(0), image), m.multiply(at(1), noisy));
  }

  /** Of a Gaussian over values that are multiples of 2/255, its tails at -1 and 1. */
  private Value logLikelihood(Value clean, Value mean, Value logVariance) {
    Value centered = m.subtract(clean, mean);
    Value precision = m.exp(m.multiply(logVariance, -0.5));
    Value above = distribution(m.multiply(precision, m.add(centered, HALF_STEP)));
    Value below = distribution(m.multiply(precision, m.add(centered, -HALF_STEP)));
    Value atBottom = isPositive(m.add(m.multiply(clean, -1), -TAIL));
    Value atTop = isPositive(m.add(clean, -TAIL));
    Value inside = m.add(m.multiply(m.add(atBottom, atTop), -1), 1);
    return m.add(
        m.add(
            m.multiply(atBottom, log(above)),
            m.multiply(atTop, log(m.add(m.multiply(below, -1), 1)))),
        m.multiply(inside, log(m.subtract(above, below))));
  }

  /** The standard normal's distribution function, by a tanh as in the authors' code. */
  private Value distribution(Value x) {
    Value cube = m.multiply(m.multiply(x, x), x);
    Value inner = m.multiply(m.add(x, m.multiply(cube, 0.044715)), Math.sqrt(2 / Math.PI));
    return m.multiply(m.add(m.tanh(inner), 1), 0.5);
  }

  private Value log(Value probability) {
    return m.log(m.clamp(probability, LEAST_PROBABILITY, STEEP));
  }

  /** 1 where x is above 0, else 0. */
  private Value isPositive(Value x) {
    return m.clamp(m.multiply(x, STEEP), 0, 1);
  }
}
