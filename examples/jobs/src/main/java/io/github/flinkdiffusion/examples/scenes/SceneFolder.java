/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Scenes as a folder of images with captions: what {@code examples/train} learns students, LoRAs
 * and ControlNets of the second embedded model from ({@code layout: captions}).
 */
@Command(
    name = "scene-folder",
    mixinStandardHelpOptions = true,
    description = "Writes scenes as images, each with its caption in a .txt of its name.")
public final class SceneFolder implements Callable<Integer> {
  @Mixin private SceneIcons icons;

  @Option(names = "--out", required = true, description = "Folder to write.")
  private Path out;

  @Option(
      names = "--scenes",
      defaultValue = "4000",
      description = "How many (default: ${DEFAULT-VALUE}).")
  private int scenes;

  public static void main(String[] args) {
    System.exit(new CommandLine(new SceneFolder()).execute(args));
  }

  @Override
  public Integer call() throws IOException {
    int side = SceneModel.SIDE;
    IconLibrary library = icons.open();
    Files.createDirectories(out);
    for (int i = 0; i < scenes; i++) {
      Scene scene = SceneVocabulary.training(i);
      float[] pixels = scene.draw(library, side, SceneVocabulary.drawing(i));
      for (int j = 0; j < pixels.length; j++) {
        pixels[j] = (pixels[j] + 1) / 2;
      }
      String name = "scene-%06d".formatted(i);
      Files.write(out.resolve(name + ".png"), PngCodec.encode(new Raster(3, side, side, pixels)));
      Files.writeString(
          out.resolve(name + ".txt"), scene.phrase(SceneVocabulary.wording(i)) + "\n");
    }
    System.out.printf("%,d scenes in %s%n", scenes, out);
    return 0;
  }
}
