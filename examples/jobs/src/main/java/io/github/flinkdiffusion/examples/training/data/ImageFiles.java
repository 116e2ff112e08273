/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.ReadOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Stream;

/** Files of images in folders. */
final class ImageFiles {
  private static final Set<String> EXTENSIONS =
      Set.of("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "dcm", "nii", "gz");

  private ImageFiles() {}

  /** Files below a folder whose names are those of images, in the order of their paths. */
  static List<Path> below(Path folder) {
    return list(folder, Integer.MAX_VALUE).stream()
        .filter(file -> isImage(file.getFileName().toString()))
        .toList();
  }

  /** Files of all kinds in a folder and, to a depth, in folders of it. */
  static List<Path> list(Path folder, int depth) {
    try (Stream<Path> files = Files.walk(folder, depth)) {
      return files
          .filter(Files::isRegularFile)
          .sorted(Comparator.comparing(file -> folder.relativize(file).toString()))
          .toList();
    } catch (IOException e) {
      throw new TrainingDataException("Folder %s cannot be read: %s".formatted(folder, e), e);
    }
  }

  /** Whether a file's name is an image's; hidden ones, which systems leave behind, are none. */
  static boolean isImage(String name) {
    String extension = name.substring(name.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
    return !name.startsWith(".")
        && EXTENSIONS.contains(extension)
        && (!extension.equals("gz") || name.toLowerCase(Locale.ROOT).endsWith(".nii.gz"));
  }

  /** A name without the ending of an image, or of another file. */
  static String stem(String name) {
    String without = name.replaceFirst("(?i)\\.nii\\.gz$", "");
    int dot = without.lastIndexOf('.');
    return dot > 0 ? without.substring(0, dot) : without;
  }

  static Raster read(Path file) {
    try {
      return Images.read(file, ReadOptions.DEFAULT);
    } catch (ImageException e) {
      throw new TrainingDataException(
          "Image %s cannot be read: %s".formatted(file, e.getMessage()), e);
    }
  }

  static Raster read(byte[] bytes, String name) {
    try {
      return Images.read(bytes, ReadOptions.DEFAULT);
    } catch (ImageException e) {
      throw new TrainingDataException(
          "Image %s cannot be read: %s".formatted(name, e.getMessage()), e);
    }
  }

  static String text(Path file) {
    try {
      return Files.readString(file).strip();
    } catch (IOException e) {
      throw new TrainingDataException("Text %s cannot be read: %s".formatted(file, e), e);
    }
  }
}
