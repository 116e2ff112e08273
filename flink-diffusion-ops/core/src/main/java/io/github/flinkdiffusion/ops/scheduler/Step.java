/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.List;

/**
 * One row of a plan: what to show the network and what to make of its output.
 *
 * <pre>
 *   d  = limit(prediction of x and out)          only where the config limits
 *   x' = next(x, out, d, noise, h0, h1, ...)
 *   h' = memory(x, out, d, h0, h1, ...)
 * </pre>
 *
 * @param timestep what the network is told
 * @param inputScale factor from the sample to the network's input
 * @param signal weight of a clean image, and {@code noise} of standard noise, in a sample at this
 *     step
 * @param prediction what the limit applies to; unused when the limit is {@link Limit#NONE}
 * @param next the next sample
 * @param memory what is remembered for the next step, newest first
 * @param drawsNoise whether the step draws from the noise source. A step may draw and give it no
 *     weight, because the reference does and whatever is drawn later depends on it.
 * @param learnedVariance scales the noise drawn, value by value; null when the plan alone says how
 *     much noise there is
 * @param path where the step's noise comes from when the config seeds it, and not from the
 *     trajectory's noise source; null else
 * @param correction a step along the output whose length follows from how large the output is; it
 *     takes the limit's place. Null else
 * @param known the part of the image that is put back after the step, and the steps back to more
 *     noise that follow; null where all is made anew
 */
record Step(
    double timestep,
    double inputScale,
    double signal,
    double noise,
    WeightedSum prediction,
    Limit limit,
    WeightedSum next,
    List<WeightedSum> memory,
    boolean drawsNoise,
    LearnedVariance learnedVariance,
    BrownianStep path,
    Correction correction,
    KnownStep known) {

  /** The same step with the noise that it draws multiplied, also where it remembers it. */
  Step atTemperature(double temperature) {
    return new Step(
        timestep,
        inputScale,
        signal,
        noise,
        prediction,
        limit,
        next.scaled(Linear.NOISE, temperature),
        memory.stream().map(sum -> sum.scaled(Linear.NOISE, temperature)).toList(),
        drawsNoise,
        learnedVariance,
        path,
        correction == null ? null : correction.atTemperature(temperature),
        known == null ? null : known.atTemperature(temperature));
  }

  /** How often the step draws from the noise source. */
  int draws() {
    return (drawsNoise ? 1 : 0) + (known == null ? 0 : known.betas().length);
  }

  Step withoutMemory() {
    return new Step(
        timestep,
        inputScale,
        signal,
        noise,
        prediction,
        limit,
        next,
        List.of(),
        drawsNoise,
        learnedVariance,
        path,
        correction,
        known);
  }
}
