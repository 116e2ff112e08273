/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.flink.configuration.ConfigOption;
import org.junit.jupiter.api.Test;

class DiffusionModelOptionsTest {

  /** Options of the operator that SQL has otherwise or not at all, each with the reason. */
  private static final Map<ConfigOption<?>, String> NOT_IN_SQL =
      Map.ofEntries(
          Map.entry(DiffusionOptions.CAPACITY, "Flink's max-concurrent-operations"),
          Map.entry(DiffusionOptions.OUTPUT_ORDER, "Flink's output-mode"),
          Map.entry(DiffusionOptions.TENANTS_ATTRIBUTE, "a row has no attributes"),
          Map.entry(DiffusionOptions.TENANTS_WEIGHTS, "a row has no attributes"),
          Map.entry(DiffusionOptions.TENANTS_MAX_IN_FLIGHT, "a row has no attributes"),
          Map.entry(DiffusionOptions.REQUEST_MAX_ATTRIBUTES, "a row has no attributes"),
          Map.entry(DiffusionOptions.AUDIT_ATTRIBUTES, "a row has no attributes"),
          Map.entry(DiffusionOptions.REQUEST_MAX_ATTRIBUTES_SIZE, "a row has no attributes"),
          Map.entry(DiffusionOptions.REQUEST_ATTEMPTS, "rows are in no state of the project's"),
          Map.entry(DiffusionOptions.REQUEST_PROCESS_DEATHS, "rows are in no state either"),
          Map.entry(DiffusionOptions.OUTAGE_RETRY_TIME, "a model in SQL uses no payload store"),
          Map.entry(DiffusionOptions.OUTAGE_ACTION, "a model in SQL uses no payload store"),
          Map.entry(DiffusionOptions.DEFAULT_STEPS, "the parameter steps"),
          Map.entry(DiffusionOptions.DEFAULT_GUIDANCE_SCALE, "the parameter guidance-scale"),
          Map.entry(DiffusionOptions.DEFAULT_SCHEDULER, "the parameter scheduler"),
          Map.entry(DiffusionOptions.DEFAULT_WIDTH, "the parameter width"),
          Map.entry(DiffusionOptions.DEFAULT_HEIGHT, "the parameter height"),
          Map.entry(DiffusionOptions.PROGRESS_EVERY_STEPS, "a row has no progress"),
          Map.entry(DiffusionOptions.PREVIEW_EVERY_STEPS, "a row has no progress"));

  @Test
  void sqlKnowsEveryOptionThatTheOperatorKnows() {
    Set<ConfigOption<?>> known = new HashSet<>(DiffusionModelOptions.SHARED.keySet());
    known.addAll(NOT_IN_SQL.keySet());
    assertThat(known).containsExactlyInAnyOrderElementsOf(DiffusionOptions.ALL);
    assertThat(DiffusionModelOptions.SHARED)
        .doesNotContainKeys(NOT_IN_SQL.keySet().toArray(ConfigOption<?>[]::new));
  }

  @Test
  void everyOptionOfTheModelIsInTheWithClause() {
    assertThat(DiffusionModelOptions.all().stream().map(ConfigOption::key))
        .containsAll(
            DiffusionOptions.ALL.stream()
                .map(ConfigOption::key)
                .filter(key -> key.startsWith("diffusion.model."))
                .map(key -> key.substring("diffusion.".length()))
                .collect(Collectors.toSet()))
        .contains("model.loras", "model.configs");
  }

  @Test
  void whatStandsForAnOptionOfTheOperatorIsAParameter() {
    for (String reason : NOT_IN_SQL.values()) {
      if (reason.startsWith("the parameter ")) {
        assertThat(DiffusionModelOptions.parameterKeys())
            .contains(reason.substring("the parameter ".length()));
      }
    }
    assertThat(Parameters.all()).isNotEmpty();
  }
}
