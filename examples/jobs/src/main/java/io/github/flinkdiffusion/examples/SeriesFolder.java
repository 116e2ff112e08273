/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.image.DicomSlice;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.SliceOrder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/** Files of DICOM series, as a person names them: one by one, or the folder that holds them. */
final class SeriesFolder {
  /** The index of a DICOM disc, which has no image. */
  private static final String INDEX = "DICOMDIR";

  private SeriesFolder() {}

  /**
   * Replaces folders by the files in them and in their sub-folders, by name.
   *
   * @throws DemoException when a folder has no file
   */
  static List<Path> files(List<Path> named) throws IOException {
    List<Path> files = new ArrayList<>();
    for (Path path : named) {
      if (!Files.isDirectory(path)) {
        files.add(path);
        continue;
      }
      try (Stream<Path> inside = Files.walk(path)) {
        List<Path> found =
            inside
                .filter(Files::isRegularFile)
                .filter(file -> !file.getFileName().toString().startsWith("."))
                .filter(file -> !file.getFileName().toString().equals(INDEX))
                .sorted()
                .toList();
        if (found.isEmpty()) {
          throw new DemoException("The folder " + path + " has no files.");
        }
        files.addAll(found);
      }
    }
    return files;
  }

  /**
   * A series.
   *
   * @param uid the series' UID
   * @param name for files of its results
   * @param slices the files, in the order of their places
   */
  record Member(String uid, String name, List<Path> slices) {
    /** Which shows most. */
    Path middle() {
      return slices.get(slices.size() / 2);
    }
  }

  private record Slice(Path file, double along) {}

  /** The series that the files belong to; files that belong to none are left out. */
  static List<Member> series(List<Path> files) throws IOException {
    Map<String, List<Slice>> slices = new LinkedHashMap<>();
    for (Path file : files) {
      Optional<DicomSlice> header = header(file);
      if (header.isPresent()) {
        double along = header.get().place().map(SliceOrder::along).orElse(0.0);
        slices
            .computeIfAbsent(header.get().series(), uid -> new ArrayList<>())
            .add(new Slice(file, along));
      }
    }
    List<Member> series = new ArrayList<>();
    slices.forEach(
        (uid, of) -> {
          List<Path> ordered =
              of.stream()
                  .sorted(Comparator.comparingDouble(Slice::along))
                  .map(Slice::file)
                  .toList();
          Path folder = ordered.get(0).toAbsolutePath().normalize().getParent();
          String name = folder.getFileName() == null ? "series" : folder.getFileName().toString();
          series.add(
              new Member(
                  uid,
                  slices.size() == 1 ? name : "%s-%d".formatted(name, series.size() + 1),
                  ordered));
        });
    return series;
  }

  /** Empty for a file that is a failure of its own. */
  private static Optional<DicomSlice> header(Path file) throws IOException {
    try {
      DicomSlice header = DicomSlice.of(Files.readAllBytes(file));
      return header.frames() == 1 ? Optional.of(header) : Optional.empty();
    } catch (ImageException e) {
      return Optional.empty();
    }
  }
}
