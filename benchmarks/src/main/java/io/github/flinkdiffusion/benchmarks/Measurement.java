/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import com.fasterxml.jackson.annotation.JsonIgnore;
import java.util.List;

/**
 * What one subject showed in one scenario, round by round.
 *
 * @param scenario what was done: a row of the report's table, e.g. {@code mini-emoji, batch 8}
 * @param subject who did it: a column of that table, e.g. {@code diffusers}
 * @param unit of the values, e.g. {@code s/picture}
 * @param values one a round, in the order of the rounds
 */
public record Measurement(String scenario, String subject, String unit, List<Double> values) {
  public Measurement {
    values = List.copyOf(values);
    Summary.of(values);
  }

  @JsonIgnore
  public Summary summary() {
    return Summary.of(values);
  }
}
