/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import io.github.flinkdiffusion.ops.engine.Engines;
import java.time.Clock;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.flink.configuration.Configuration;

/**
 * What is examined.
 *
 * @param config Flink's configuration with the job's options
 * @param topics that the job reads and writes
 * @param java the virtual machine's system properties
 * @param environment the process's environment
 * @param engines that the class path has
 * @param clock this machine's
 */
record Setup(
    Configuration config,
    List<String> topics,
    Map<String, String> java,
    Map<String, String> environment,
    Engines engines,
    Clock clock) {
  Setup {
    topics = List.copyOf(topics);
    java = Map.copyOf(java);
    environment = Map.copyOf(environment);
  }

  /** This process on this machine. */
  static Setup here(Configuration config, List<String> topics) {
    Map<String, String> java =
        System.getProperties().stringPropertyNames().stream()
            .collect(Collectors.toMap(name -> name, System::getProperty));
    return new Setup(config, topics, java, System.getenv(), Engines.standard(), Clock.systemUTC());
  }
}
