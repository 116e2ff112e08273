/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.util.Map;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A timestep off by one is another picture: every number of steps from 1 to 1000 in every spacing.
 */
class TimestepsParityTest {

  private static final int TRAIN_STEPS = 1000;

  /** The three ways to space timesteps, under a class that uses each. */
  private static final Map<String, BiFunction<Fields, Integer, double[]>> WAYS =
      Map.of(
          "DDIMScheduler", (fields, n) -> Timesteps.whole(fields, "leading", n, TRAIN_STEPS),
          "EulerDiscreteScheduler",
              (fields, n) -> Timesteps.fractional(fields, n, TRAIN_STEPS, SamplingOptions.DEFAULTS),
          "DPMSolverMultistepScheduler",
              (fields, n) -> Timesteps.solver(fields, n, TRAIN_STEPS, TRAIN_STEPS));

  @ParameterizedTest
  @ValueSource(strings = {"linspace", "leading", "trailing"})
  void timestepsAreTheReferencesForEveryNumberOfSteps(String spacing) throws IOException {
    JsonNode table = table();
    for (String className : WAYS.keySet()) {
      JsonNode rows = table.get(className + " " + spacing);
      assertThat(rows).hasSize(TRAIN_STEPS);
      for (int n = 1; n <= TRAIN_STEPS; n++) {
        JsonNode row = rows.get(n - 1);
        if (row.isNull()) {
          continue;
        }
        double[] timesteps = timesteps(className, spacing, n);
        double sum = 0;
        double placed = 0;
        for (int i = 0; i < n; i++) {
          sum += timesteps[i];
          placed += timesteps[i] * (i + 1);
        }
        // Whole timesteps add up exactly; fractional ones (linspace, unrounded) are float32.
        double tolerance = className.startsWith("Euler") && spacing.equals("linspace") ? 1e-7 : 0;
        assertThat(sum)
            .as("%s %s, %d steps", className, spacing, n)
            .isCloseTo(row.get(0).asDouble(), within(tolerance * sum));
        assertThat(placed)
            .as("%s %s, %d steps", className, spacing, n)
            .isCloseTo(row.get(1).asDouble(), within(tolerance * placed));
      }
    }
  }

  @Test
  void trailingNeverGoesBelowTheFirstTimestep() throws IOException {
    JsonNode rows = table().get("DDIMScheduler trailing");
    int differing = 0;
    for (int n = 1; n <= TRAIN_STEPS; n++) {
      double[] timesteps = timesteps("DDIMScheduler", "trailing", n);
      assertThat(timesteps).hasSize(n);
      assertThat(timesteps[n - 1]).as("%d steps", n).isNotNegative();
      differing += rows.get(n - 1).isNull() ? 1 : 0;
    }
    // The reference takes n + 1 steps for these, the last at timestep -1.
    assertThat(differing).isEqualTo(62);
  }

  private static double[] timesteps(String className, String spacing, int n) {
    Map<String, Object> config = Map.of("timestep_spacing", spacing, "steps_offset", 1);
    return WAYS.get(className)
        .apply(new Fields(new SchedulerConfig(className, config, "test"), key -> {}), n);
  }

  private static JsonNode table() throws IOException {
    try (InputStream in =
        TimestepsParityTest.class.getResourceAsStream("/fixtures/scheduler/timesteps.json")) {
      return new ObjectMapper().readTree(in);
    }
  }
}
