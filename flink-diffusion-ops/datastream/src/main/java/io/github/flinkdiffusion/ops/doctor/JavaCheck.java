/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.apache.flink.configuration.CoreOptions;

/** The Java virtual machine, and how Flink loads classes that hold native libraries. */
final class JavaCheck implements Check {
  private static final int OLDEST = 17;
  private static final Set<Integer> TESTED = Set.of(17, 21);
  private static final Set<String> ARCHITECTURES = Set.of("amd64", "x86_64", "aarch64");
  private static final List<String> PARENT_FIRST =
      List.of("ai.onnxruntime.", "ai.djl.", "io.github.flinkdiffusion.");

  @Override
  public String name() {
    return "java";
  }

  @Override
  public List<Finding> examine(Setup setup) {
    List<Finding> findings = new ArrayList<>();
    findings.add(version(setup));
    String architecture = setup.java().getOrDefault("os.arch", "unknown");
    if (!ARCHITECTURES.contains(architecture)) {
      findings.add(
          Finding.error(
              name(),
              "This Java virtual machine is for '%s'.".formatted(architecture),
              "Install a JDK for x86-64 or aarch64: the engines have native libraries for these."));
    }
    List<String> loaded =
        setup.config().get(CoreOptions.ALWAYS_PARENT_FIRST_LOADER_PATTERNS_ADDITIONAL);
    List<String> missing = PARENT_FIRST.stream().filter(each -> !loaded.contains(each)).toList();
    if (!missing.isEmpty()) {
      findings.add(
          Finding.warning(
              name(),
              "%s lacks '%s'."
                  .formatted(
                      CoreOptions.ALWAYS_PARENT_FIRST_LOADER_PATTERNS_ADDITIONAL.key(),
                      String.join(";", missing)),
              "Add them in config.yaml, as deploy/README.md says. Otherwise a job whose jar holds an"
                  + " engine runs once on a TaskManager and fails when it is submitted again."));
    }
    return findings;
  }

  private Finding version(Setup setup) {
    String text = setup.java().getOrDefault("java.specification.version", "unknown");
    int version;
    try {
      version = Integer.parseInt(text);
    } catch (NumberFormatException e) { // 1.8 is how Java 8 says it
      version = 0;
    }
    String found =
        "Java %s (%s)".formatted(text, setup.java().getOrDefault("java.vm.name", "unknown"));
    if (version < OLDEST) {
      return Finding.error(
          name(), found + ".", "Install JDK 17 or 21 and set JAVA_HOME for Flink's scripts.");
    }
    return TESTED.contains(version)
        ? Finding.ok(name(), found)
        : Finding.warning(
            name(), found + ".", "Use JDK 17 or 21: Flink 2.3 is not tested with other versions.");
  }
}
