/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import org.apache.flink.configuration.IllegalConfigurationException;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessSpec;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessUtils;

/** The TaskManagers' memory: whether Flink accepts it, the machine has it, and a model fits. */
final class MemoryCheck implements Check {
  /** Below this not even the activations of a small model fit. */
  private static final MemorySize LEAST = MemorySize.ofMebiBytes(256);

  private static final String PREFIX = "taskmanager.memory.";

  @Override
  public String name() {
    return "memory";
  }

  @Override
  public List<Finding> examine(Setup setup) {
    if (setup.config().toMap().keySet().stream().noneMatch(key -> key.startsWith(PREFIX))) {
      return List.of(
          Finding.skipped(
              name(), "no %s* is set; Kubernetes' operator sets it later".formatted(PREFIX)));
    }
    TaskExecutorProcessSpec spec;
    try {
      spec = TaskExecutorProcessUtils.processSpecFromConfig(setup.config());
    } catch (IllegalConfigurationException e) {
      return List.of(
          Finding.error(
              name(),
              "Flink does not accept the sizes %s*: %s".formatted(PREFIX, Reason.of(e)),
              "Set %s, and leave the other sizes out but for %s."
                  .formatted(
                      TaskManagerOptions.TOTAL_PROCESS_MEMORY.key(),
                      TaskManagerOptions.TASK_OFF_HEAP_MEMORY.key())));
    }
    List<Finding> findings = new ArrayList<>();
    MemorySize process = spec.getTotalProcessMemorySize();
    MemorySize machine =
        new MemorySize(
            ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getTotalMemorySize());
    if (process.compareTo(machine) > 0) {
      findings.add(
          Finding.error(
              name(),
              "A TaskManager has %s, and this machine or container has %s."
                  .formatted(process.toHumanReadableString(), machine.toHumanReadableString()),
              "Lower %s, or take a larger machine: the kernel would end the process."
                  .formatted(TaskManagerOptions.TOTAL_PROCESS_MEMORY.key())));
    }
    MemorySize offHeap = spec.getTaskOffHeapSize();
    OptionalLong weights = ModelCheck.weightBytes(setup);
    if (offHeap.compareTo(LEAST) < 0) {
      findings.add(
          Finding.warning(
              name(),
              "%s is %s; the engine's memory is neither heap nor managed."
                  .formatted(
                      TaskManagerOptions.TASK_OFF_HEAP_MEMORY.key(),
                      offHeap.toHumanReadableString()),
              "Set it to the activations of one batch, at least %s; docs/OPERATE.md, Sizing, has figures."
                  .formatted(LEAST.toHumanReadableString())));
    }
    if (weights.isPresent() && process.getBytes() + weights.getAsLong() > machine.getBytes()) {
      findings.add(
          Finding.warning(
              name(),
              "A TaskManager (%s) and the model's weights (%s) together exceed the memory of this machine or container (%s)."
                  .formatted(
                      process.toHumanReadableString(),
                      new MemorySize(weights.getAsLong()).toHumanReadableString(),
                      machine.toHumanReadableString()),
              "On the CPU weights are mapped files, which need memory beside the process: give the"
                  + " container more, or each call reads them from disk."));
    }
    if (findings.isEmpty()) {
      findings.add(
          Finding.ok(
              name(),
              "a TaskManager has %s, of these %s for the engine; the machine has %s"
                  .formatted(
                      process.toHumanReadableString(),
                      offHeap.toHumanReadableString(),
                      machine.toHumanReadableString())));
    }
    return findings;
  }
}
