/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/** Examples that are files in folders. */
public final class FolderExamples implements ExampleSet {
  private final List<Entry> entries;

  private record Entry(Path image, String caption, Optional<Path> other) {}

  private FolderExamples(List<Entry> entries, String nothing) {
    if (entries.isEmpty()) {
      throw new TrainingDataException(nothing);
    }
    this.entries = List.copyOf(entries);
  }

  /** All images below a folder, without captions. */
  public static FolderExamples plain(Path folder) {
    return new FolderExamples(
        ImageFiles.below(folder).stream()
            .map(file -> new Entry(file, "", Optional.empty()))
            .toList(),
        "Folder %s has no images.".formatted(folder));
  }

  /**
   * A folder for each class with its images, as ImageNet has them.
   *
   * @param caption of an image, in which {@code {class}} stands for its folder's name with spaces
   *     for underscores
   */
  public static FolderExamples classes(Path folder, String caption) {
    List<Entry> entries = new ArrayList<>();
    for (Path file : ImageFiles.below(folder)) {
      Path inside = folder.relativize(file);
      if (inside.getNameCount() < 2) {
        throw new TrainingDataException(
            "Image %s is in no folder of a class; expected %s/<class>/<image>."
                .formatted(file, folder));
      }
      String name = inside.getName(0).toString().replace('_', ' ');
      entries.add(new Entry(file, caption.replace("{class}", name), Optional.empty()));
    }
    return new FolderExamples(entries, "Folder %s has no images of classes.".formatted(folder));
  }

  /** Images, each with a text file of its name beside it that ends in {@code .txt}. */
  public static FolderExamples captions(Path folder) {
    List<Entry> entries = new ArrayList<>();
    for (Path file : ImageFiles.below(folder)) {
      Path text = caption(file);
      if (!Files.exists(text)) {
        throw new TrainingDataException(
            "Image %s has no caption; expected it in %s.".formatted(file, text));
      }
      entries.add(new Entry(file, ImageFiles.text(text), Optional.empty()));
    }
    return new FolderExamples(entries, "Folder %s has no images.".formatted(folder));
  }

  /**
   * Images and their masks, or large images and small ones, or images and control images: files of
   * the same name, whatever they end in, in two folders. An image with a text file of its name
   * beside it that ends in {@code .txt} has that caption.
   */
  public static FolderExamples pairs(Path images, Path others) {
    Map<String, Path> byName = new LinkedHashMap<>();
    for (Path file : ImageFiles.below(others)) {
      Path before = byName.put(key(others, file), file);
      if (before != null) {
        throw new TrainingDataException(
            "Files %s and %s belong to the same image.".formatted(before, file));
      }
    }
    List<Entry> entries = new ArrayList<>();
    for (Path file : ImageFiles.below(images)) {
      Path other = byName.get(key(images, file));
      if (other == null) {
        throw new TrainingDataException(
            "Image %s has no counterpart of its name in %s.".formatted(file, others));
      }
      Path text = caption(file);
      entries.add(
          new Entry(file, Files.exists(text) ? ImageFiles.text(text) : "", Optional.of(other)));
    }
    return new FolderExamples(entries, "Folder %s has no images.".formatted(images));
  }

  /**
   * The examples whose images a file names, one a line, relative to the folder: what {@code train
   * curate} keeps.
   *
   * @throws TrainingDataException if a line names an image that is not among the examples
   */
  public FolderExamples only(Path folder, Path list) {
    Map<Path, Entry> byImage = new LinkedHashMap<>();
    entries.forEach(entry -> byImage.put(entry.image().normalize(), entry));
    List<Entry> kept = new ArrayList<>();
    for (String line : listed(list)) {
      Entry entry = byImage.get(folder.resolve(line).normalize());
      if (entry == null) {
        throw new TrainingDataException(
            "%s names '%s', which is no image of %s.".formatted(list, line, folder));
      }
      kept.add(entry);
    }
    return new FolderExamples(kept, "%s names no images.".formatted(list));
  }

  /** The lines of a list of images, each once. */
  public static Set<String> listed(Path list) {
    return ImageFiles.text(list)
        .lines()
        .map(String::strip)
        .filter(each -> !each.isEmpty())
        .collect(Collectors.toCollection(LinkedHashSet::new));
  }

  private static Path caption(Path image) {
    return image.resolveSibling(ImageFiles.stem(image.getFileName().toString()) + ".txt");
  }

  private static String key(Path folder, Path file) {
    return ImageFiles.stem(folder.relativize(file).toString());
  }

  @Override
  public int size() {
    return entries.size();
  }

  @Override
  public Example at(int index) {
    Entry entry = entries.get(index);
    return new Example(
        ImageFiles.read(entry.image()), entry.caption(), entry.other().map(ImageFiles::read));
  }
}
