/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.imaging;

import io.github.flinkdiffusion.ops.network.UNet2D;
import io.github.flinkdiffusion.ops.training.LossSpikes;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Trains the embedded model {@code mini-brain-mask} and writes its folder. */
@Command(
    name = "mini-brain-training",
    mixinStandardHelpOptions = true,
    description =
        "Trains examples/models/mini-brain-mask; see its model card for the source of the scan.")
public final class MiniBrainTraining implements Callable<Integer> {
  static final int DRAWINGS = 1600;

  /**
   * Most batches have losses of some hundredths. One with a non-head that the network still takes
   * for a head has ten to twenty times that, 14 deviations above the mean, and is what there is to
   * learn from: only a loss that a wrong mask cannot have is a spike. Rises are not looked for,
   * because a training on weights that never saw non-heads begins with one.
   */
  private static final LossSpikes SPIKES = new LossSpikes(100, 60, 5, 0);

  @Option(
      names = "--templates",
      required = true,
      description = "usr/share/mricron/templates of the unpacked Debian package mricron-data.")
  private Path templates;

  @Option(
      names = "--non-heads",
      description =
          "Folder of pictures without a brain, to learn from beside what the program draws.")
  private Path nonHeads;

  @Option(
      names = "--icons",
      description =
          "icons.json of an npm package @iconify-json/..., 1,600 of whose drawings are non-heads,"
              + " too.")
  private Path icons;

  @Option(
      names = "--non-head-share",
      description = "Share of the examples that are no head (default: ${DEFAULT-VALUE}).")
  private double nonHeadShare = 0.2;

  @Option(
      names = "--other-head-share",
      description =
          "Share of the slices that are made to look like another head's (default:"
              + " ${DEFAULT-VALUE}).")
  private double otherHeadShare = 0.8;

  @Option(
      names = "--out",
      defaultValue = "examples/models/mini-brain-mask",
      description = "Model folder to write (default: ${DEFAULT-VALUE}).")
  private Path out;

  @Mixin private DenoiserTraining training = new DenoiserTraining();

  public static void main(String[] args) {
    System.exit(new CommandLine(new MiniBrainTraining()).execute(args));
  }

  @Override
  public Integer call() throws Exception {
    ModelFiles files = MiniBrainModel.files();
    files.write(out);
    training.run(
        new UNet2D(files.network()),
        files.levels(),
        new SliceExamples(
            HeadScan.open(templates),
            new NonHeads(
                nonHeads == null ? List.of() : List.copyOf(NonHeads.read(nonHeads).values()),
                icons == null
                    ? List.of()
                    : List.copyOf(NonHeads.drawings(icons, DRAWINGS).values())),
            nonHeadShare,
            otherHeadShare),
        SPIKES,
        ModelFiles.weights(out));
    return 0;
  }
}
