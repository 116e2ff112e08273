/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.scheduler;

import java.util.List;
import java.util.Map;

/**
 * Names of solvers that a class takes for another one of its own. diffusers writes the own name
 * into the config that it keeps, so that is what another class made of that config reads.
 */
final class SolverNames {

  private record Renamed(String key, List<String> foreign, String own) {

    void in(Map<String, Object> fields) {
      Object value = fields.get(key);
      if (value instanceof String name && foreign.contains(name)) {
        fields.put(key, own);
      }
    }
  }

  private static final List<Renamed> DEIS =
      List.of(
          new Renamed("algorithm_type", List.of("dpmsolver", "dpmsolver++"), "deis"),
          new Renamed("solver_type", List.of("midpoint", "heun", "bh1", "bh2"), "logrho"));

  private static final List<Renamed> DPM_SOLVER =
      List.of(
          new Renamed("algorithm_type", List.of("deis"), "dpmsolver++"),
          new Renamed("solver_type", List.of("logrho", "bh1", "bh2"), "midpoint"));

  private static final List<Renamed> UNI_PC =
      List.of(new Renamed("solver_type", List.of("midpoint", "heun", "logrho"), "bh2"));

  private static final Map<String, List<Renamed>> BY_CLASS =
      Map.of(
          "DEISMultistepScheduler", DEIS,
          "DPMSolverMultistepScheduler", DPM_SOLVER,
          "DPMSolverMultistepInverseScheduler", DPM_SOLVER,
          "DPMSolverSinglestepScheduler", DPM_SOLVER,
          "EDMDPMSolverMultistepScheduler", DPM_SOLVER,
          "UniPCMultistepScheduler", UNI_PC);

  private SolverNames() {}

  /** Replaces, in a config's keys, what the class reads as something else. */
  static void asReadBy(String className, Map<String, Object> fields) {
    BY_CLASS.getOrDefault(className, List.of()).forEach(renamed -> renamed.in(fields));
  }
}
