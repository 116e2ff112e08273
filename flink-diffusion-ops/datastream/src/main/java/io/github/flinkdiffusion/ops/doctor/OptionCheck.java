/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.KnownOptions;
import java.util.List;

/** The options {@code diffusion.*}: keys that exist, and values that they take. */
final class OptionCheck implements Check {
  @Override
  public String name() {
    return "options";
  }

  @Override
  public List<Finding> examine(Setup setup) {
    try {
      KnownOptions.refuseUnknown(setup.config());
      DiffusionSettings.of(setup.config());
    } catch (RuntimeException e) {
      return List.of(
          Finding.error(
              name(),
              Reason.of(e),
              "Correct the option; a job would be refused with this message."));
    }
    long set =
        setup.config().toMap().keySet().stream()
            .filter(key -> key.startsWith("diffusion."))
            .count();
    return List.of(Finding.ok(name(), set + " options diffusion.* are set, each is valid"));
  }
}
