/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Command;

/** One call of the small models' networks: as {@link UNetBenchmark}, whose options it has. */
@Command(
    name = "networks",
    mixinStandardHelpOptions = true,
    description = "A step of the small models' UNets, as unet measures that of a large one.")
final class SmallNetworksBenchmark extends UNetBenchmark {
  @Override
  String title() {
    return "Engine: a step of the small models' UNets";
  }

  @Override
  List<Path> networks() {
    Path home = RunOptions.home();
    Path models = home.resolve("examples/models");
    return List.of(
        models.resolve("mini-emoji/unet"),
        home.resolve("flink-diffusion-ops/src/test/resources/fixtures/models/tiny-sd1/unet"),
        models.resolve("mini-satellite-x4/unet"),
        models.resolve("mini-brain-mask/unet"));
  }
}
