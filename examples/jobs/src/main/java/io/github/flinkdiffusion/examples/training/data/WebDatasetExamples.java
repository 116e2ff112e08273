/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarFile;

/**
 * WebDataset: tar files in which an example's files follow each other and share a name up to its
 * first dot: an image, a caption that ends in {@code .txt}, and a mask that ends in {@code
 * .mask.png}, {@code .seg.png} or another image's ending. Archives are read through once for what
 * is in them, and stay open.
 */
public final class WebDatasetExamples implements ExampleSet, AutoCloseable {
  private static final long MOST_CAPTION_BYTES = 1 << 20;

  private record Entry(
      TarFile archive,
      TarArchiveEntry image,
      Optional<TarArchiveEntry> caption,
      Optional<TarArchiveEntry> mask) {}

  /** Between an example's key and the ending of its mask. */
  private static final Set<String> MASKS = Set.of("mask", "seg");

  private final List<TarFile> archives = new ArrayList<>();
  private final List<Entry> entries = new ArrayList<>();

  private WebDatasetExamples() {}

  /**
   * @param folder whose tar files are read, in the order of their names
   */
  public static WebDatasetExamples open(Path folder) {
    WebDatasetExamples examples = new WebDatasetExamples();
    try {
      for (Path file : ImageFiles.list(folder, 1)) {
        if (file.getFileName().toString().endsWith(".tar")) {
          examples.add(file);
        }
      }
      if (examples.entries.isEmpty()) {
        throw new TrainingDataException(
            "Folder %s has no tar files with images.".formatted(folder));
      }
      return examples;
    } catch (RuntimeException e) {
      examples.close();
      throw e;
    }
  }

  private void add(Path file) {
    try {
      TarFile archive = new TarFile(file);
      archives.add(archive);
      Map<String, TarArchiveEntry> images = new LinkedHashMap<>();
      Map<String, TarArchiveEntry> captions = new LinkedHashMap<>();
      Map<String, TarArchiveEntry> masks = new LinkedHashMap<>();
      for (TarArchiveEntry entry : archive.getEntries()) {
        String name = entry.getName();
        int dot = name.indexOf('.', name.lastIndexOf('/') + 1);
        if (!entry.isFile() || dot < 0) {
          continue;
        }
        String key = name.substring(0, dot);
        if (name.endsWith(".txt")) {
          captions.put(key, entry);
        } else if (ImageFiles.isImage(name.substring(name.lastIndexOf('/') + 1))) {
          String part = ImageFiles.stem(name.substring(dot + 1));
          (MASKS.contains(part) ? masks : images).put(key, entry);
        }
      }
      // A key whose only image is called a mask has no other to be the mask of.
      masks.forEach(images::putIfAbsent);
      images.forEach(
          (key, image) ->
              entries.add(
                  new Entry(
                      archive,
                      image,
                      Optional.ofNullable(captions.get(key)),
                      Optional.ofNullable(masks.get(key)).filter(mask -> mask != image))));
    } catch (IOException e) {
      throw new TrainingDataException("Archive %s cannot be read: %s".formatted(file, e), e);
    }
  }

  @Override
  public int size() {
    return entries.size();
  }

  @Override
  public Example at(int index) {
    Entry entry = entries.get(index);
    String caption =
        entry
            .caption()
            .map(text -> bytes(entry, text, MOST_CAPTION_BYTES))
            .map(bytes -> new String(bytes, StandardCharsets.UTF_8).strip())
            .orElse("");
    return new Example(
        image(entry, entry.image()), caption, entry.mask().map(mask -> image(entry, mask)));
  }

  private static Raster image(Entry entry, TarArchiveEntry part) {
    return ImageFiles.read(bytes(entry, part, Integer.MAX_VALUE - 8), part.getName());
  }

  private static byte[] bytes(Entry entry, TarArchiveEntry part, long most) {
    if (part.getSize() > most) {
      throw new TrainingDataException(
          "%s has %d bytes; at most %d are read.".formatted(part.getName(), part.getSize(), most));
    }
    try (InputStream in = entry.archive().getInputStream(part)) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new TrainingDataException("%s cannot be read: %s".formatted(part.getName(), e), e);
    }
  }

  @Override
  public void close() {
    for (TarFile archive : archives) {
      try {
        archive.close();
      } catch (IOException e) {
        // It was only read.
      }
    }
  }
}
