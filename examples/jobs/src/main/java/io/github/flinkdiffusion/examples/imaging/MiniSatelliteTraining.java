/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.training.LossSpikes;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Trains the embedded model {@code mini-satellite-x4} and writes its folder. */
@Command(
    name = "mini-satellite-training",
    mixinStandardHelpOptions = true,
    description =
        "Trains examples/models/mini-satellite-x4; see its model card for the source of the image.")
public final class MiniSatelliteTraining implements Callable<Integer> {
  @Option(
      names = "--image",
      required = true,
      description = "example/img/earth-blue-marble.jpg of the unpacked npm package three-globe.")
  private Path image;

  @Option(
      names = "--out",
      defaultValue = "examples/models/mini-satellite-x4",
      description = "Model folder to write (default: ${DEFAULT-VALUE}).")
  private Path out;

  @Mixin private DenoiserTraining training = new DenoiserTraining();

  public static void main(String[] args) {
    System.exit(new CommandLine(new MiniSatelliteTraining()).execute(args));
  }

  @Override
  public Integer call() throws Exception {
    ModelFiles files = MiniSatelliteModel.files();
    files.write(out);
    training.run(
        new UNet2D(files.network()),
        files.levels(),
        BlueMarble.open(image),
        LossSpikes.DEFAULT,
        ModelFiles.weights(out));
    return 0;
  }
}
