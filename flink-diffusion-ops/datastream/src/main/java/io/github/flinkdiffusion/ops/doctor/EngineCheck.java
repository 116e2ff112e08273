/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.Engine;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.Engines;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The engines' native libraries, and the device that a job would use. */
final class EngineCheck implements Check {
  private static final Path NVIDIA = Path.of("/dev/nvidia0");

  @Override
  public String name() {
    return "engine";
  }

  @Override
  public List<Finding> examine(Setup setup) {
    List<Finding> findings = new ArrayList<>();
    String wanted = setup.config().get(DiffusionOptions.ENGINE);
    for (Engine engine : candidates(setup, wanted, findings)) {
      try {
        findings.add(Finding.ok(name(), "%s: %s".formatted(engine.name(), engine.version())));
      } catch (RuntimeException | LinkageError e) {
        findings.add(
            Finding.error(
                name(),
                "The library of engine %s does not load: %s".formatted(engine.name(), Reason.of(e)),
                "Put %s of one version into Flink's lib/, for this platform; let java.io.tmpdir be on a file system that is not mounted noexec, and install what the library names."
                    .formatted(engine.library())));
      }
    }
    boolean usable = findings.stream().noneMatch(each -> each.level() == Finding.Level.ERROR);
    if (usable) {
      device(setup, wanted, findings);
    }
    return findings;
  }

  private List<Engine> candidates(Setup setup, String wanted, List<Finding> findings) {
    List<String> names =
        wanted.equals(Engines.AUTO)
            ? List.of(Engines.ONNX_RUNTIME, Engines.PYTORCH)
            : List.of(wanted);
    List<Engine> usable = new ArrayList<>();
    List<String> reasons = new ArrayList<>();
    for (String name : names) {
      try {
        usable.add(setup.engines().named(name));
      } catch (EngineException e) {
        reasons.add(e.getMessage());
      }
    }
    if (usable.isEmpty()) {
      findings.add(
          Finding.error(
              name(),
              "No engine can run networks. " + String.join(" ", reasons),
              "Put the jars of one engine into Flink's lib/ on every machine (deploy/README.md), or"
                  + " correct %s.".formatted(DiffusionOptions.ENGINE.key())));
    }
    return usable;
  }

  private void device(Setup setup, String engine, List<Finding> findings) {
    String wanted = setup.config().get(DiffusionOptions.DEVICE);
    DeviceSpec device;
    try {
      device = setup.engines().device(engine, wanted);
    } catch (EngineException e) {
      findings.add(
          Finding.error(
              name(),
              e.getMessage(),
              "Set %s to cpu or auto, or give the process the GPU and the engine's CUDA jars (docs/GPUS.md)."
                  .formatted(DiffusionOptions.DEVICE.key())));
      return;
    }
    if (device.isGpu()) {
      findings.add(Finding.ok(name(), "device " + device));
      return;
    }
    if (Files.exists(NVIDIA) && !wanted.equals("cpu")) {
      findings.add(
          Finding.warning(
              name(),
              "This machine has an NVIDIA GPU (%s), and the engine sees none.".formatted(NVIDIA),
              "Take the engine's CUDA jars instead of those for the CPU (docs/GPUS.md)."));
    }
    String policy = setup.environment().getOrDefault("OMP_WAIT_POLICY", "");
    findings.add(
        policy.equalsIgnoreCase("passive")
            ? Finding.ok(name(), "device cpu, with OMP_WAIT_POLICY=passive")
            : Finding.warning(
                name(),
                "Networks run on the CPU, and OMP_WAIT_POLICY is '%s'.".formatted(policy),
                "Source deploy/cpu-environment before Flink's scripts, or set its variables as"
                    + " containerized.taskmanager.env.*: threads that spin take processors from"
                    + " Flink and Kafka."));
  }
}
