/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The image files of a folder, by name.
 *
 * @param files at least one, at most {@link #MOST}
 */
record ImageFolder(Path path, List<Path> files) {
  /** As each image is compared with each, more would take hours. */
  static final int MOST = 10_000;

  private static final Set<String> ENDINGS =
      Set.of("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff");

  /**
   * @throws DemoException if the folder cannot be read, or has no image or too many
   */
  static ImageFolder of(Path path) {
    List<Path> files;
    try (Stream<Path> listed = Files.list(path)) {
      files = listed.filter(ImageFolder::isImage).sorted().limit(MOST + 1L).toList();
    } catch (IOException e) {
      throw new DemoException("Cannot read the folder %s (%s).".formatted(path, e), e);
    }
    if (files.isEmpty() || files.size() > MOST) {
      throw new DemoException(
          "The folder %s has %s; 1 to %d files that end in %s are needed."
              .formatted(
                  path,
                  files.isEmpty() ? "no image" : "more than %d images".formatted(MOST),
                  MOST,
                  String.join(", ", ENDINGS.stream().sorted().toList())));
    }
    return new ImageFolder(path, files);
  }

  private static boolean isImage(Path file) {
    String name = file.getFileName().toString();
    String ending = name.substring(name.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
    return ENDINGS.contains(ending) && Files.isRegularFile(file);
  }

  /**
   * @throws DemoException naming the file, if it is no image that can be read
   */
  static Raster read(Path file) {
    try {
      return Images.read(file, ReadOptions.DEFAULT);
    } catch (ImageException e) {
      throw new DemoException("%s: %s".formatted(file, e.getMessage()), e);
    }
  }

  static List<Raster> read(List<Path> files) {
    return files.stream().map(ImageFolder::read).toList();
  }
}
