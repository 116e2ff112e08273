/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * Images that no model made, for comparison: the files of a folder.
 *
 * @param files in the order of their names
 */
record RealImages(List<Path> files) {
  private static final int MOST = 10_000;
  private static final List<String> ENDINGS =
      List.of(".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff");

  RealImages {
    files = List.copyOf(files);
  }

  /**
   * Those of a folder; none without one.
   *
   * @throws GalleryException when it cannot be read, or holds none
   */
  static RealImages in(Path folder) {
    if (folder == null) {
      return new RealImages(List.of());
    }
    try (Stream<Path> all = Files.list(folder)) {
      List<Path> files = all.filter(RealImages::isImage).sorted().limit(MOST).toList();
      if (files.isEmpty()) {
        throw new GalleryException(
            "The folder %s of real images holds no file that ends in %s."
                .formatted(folder, String.join(", ", ENDINGS)));
      }
      return new RealImages(files);
    } catch (IOException e) {
      throw new GalleryException("Cannot read the folder of real images " + folder + ": " + e, e);
    }
  }

  private static boolean isImage(Path file) {
    String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
    return ENDINGS.stream().anyMatch(name::endsWith) && Files.isRegularFile(file);
  }
}
