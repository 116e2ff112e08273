/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.emoji;

import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/**
 * Options of commands that write a folder of images made of emoji, and how its files are written.
 */
final class EmojiFolder {
  @Option(
      names = "--images",
      required = true,
      description = "Folder img/google/64 of the unpacked npm package emoji-datasource-google.")
  private Path images;

  @Option(names = "--out", required = true, description = "Folder to write to.")
  private Path out;

  EmojiImages images() throws IOException {
    return EmojiImages.open(images);
  }

  Path out() {
    return out;
  }

  static void write(Path folder, String name, Raster image) throws IOException {
    Files.write(folder.resolve(name + ".png"), Images.write(image, "image/png"));
  }

  static void write(Path folder, String name, Raster image, String caption) throws IOException {
    write(folder, name, image);
    Files.writeString(folder.resolve(name + ".txt"), caption);
  }
}
