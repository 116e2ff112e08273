/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/**
 * COCO's captions, an example for each; or its instances, an example for each image, with a mask
 * that is white where an instance or its box is, or with such a mask for each class.
 */
public final class CocoExamples implements ExampleSet {
  /** What the mask of an image with instances shows. */
  public enum Shape {
    SEGMENTATION,
    BOX
  }

  /**
   * @param instances annotations of the mask; empty for captions
   */
  private record Entry(Path image, String caption, List<JsonNode> instances) {}

  /**
   * The classes of a mask with a channel for each.
   *
   * @param labels their names, in the order of the channels
   * @param background the channel that is white where nothing is; empty if none is
   */
  public record Classes(List<String> labels, OptionalInt background) {
    public Classes {
      labels = List.copyOf(labels);
    }
  }

  private final Path annotations;
  private final List<Entry> entries;
  private final Optional<Shape> shape;
  private final Optional<Classes> classes;
  private final Map<Long, String> categories;

  private CocoExamples(
      Path annotations,
      List<Entry> entries,
      Optional<Shape> shape,
      Optional<Classes> classes,
      Map<Long, String> categories) {
    this.annotations = annotations;
    this.entries = List.copyOf(entries);
    this.shape = shape;
    this.classes = classes;
    this.categories = categories;
  }

  /**
   * @param images folder of the images
   * @param annotations such as {@code captions_train2017.json}
   */
  public static CocoExamples captions(Path images, Path annotations) {
    JsonNode json = read(annotations);
    Map<Long, Path> files = files(json, images, annotations);
    List<Entry> entries = new ArrayList<>();
    for (JsonNode annotation : json.path("annotations")) {
      if (!annotation.path("caption").isTextual()) {
        throw new TrainingDataException(
            "%s: annotation %s has no \"caption\".".formatted(annotations, annotation.path("id")));
      }
      entries.add(
          new Entry(
              file(files, annotation, annotations),
              annotation.path("caption").asText().strip(),
              List.of()));
    }
    if (entries.isEmpty()) {
      throw new TrainingDataException("%s has no captions.".formatted(annotations));
    }
    return new CocoExamples(annotations, entries, Optional.empty(), Optional.empty(), Map.of());
  }

  /**
   * @param images folder of the images
   * @param annotations such as {@code instances_train2017.json}
   * @param category whose instances are in the mask; empty for all. Images without one have an
   *     empty mask, so that a network learns that there may be none
   */
  public static CocoExamples instances(
      Path images, Path annotations, Optional<String> category, Shape shape) {
    JsonNode json = read(annotations);
    Map<Long, String> categories = categories(json);
    if (category.isPresent() && !categories.containsValue(category.get())) {
      throw new TrainingDataException(
          "%s has no category '%s'; it has %s."
              .formatted(annotations, category.get(), categories.values()));
    }
    return instances(json, images, annotations, categories, category, shape, Optional.empty());
  }

  /**
   * With a mask of a channel for each class. Where instances of several classes are, the one that
   * comes last in the file counts.
   *
   * @param images folder of the images
   * @param annotations such as {@code instances_train2017.json}; each of its categories must be a
   *     class, and not the background
   */
  public static CocoExamples classes(Path images, Path annotations, Classes classes, Shape shape) {
    JsonNode json = read(annotations);
    Map<Long, String> categories = categories(json);
    for (String name : categories.values()) {
      int number = classes.labels().indexOf(name);
      if (number < 0 || classes.background().equals(OptionalInt.of(number))) {
        throw new TrainingDataException(
            "%s has the category '%s'; expected a class of the model, of %s%s."
                .formatted(
                    annotations,
                    name,
                    classes.labels(),
                    classes.background().isPresent()
                        ? " without the background, '%s'"
                            .formatted(classes.labels().get(classes.background().getAsInt()))
                        : ""));
      }
    }
    return instances(
        json, images, annotations, categories, Optional.empty(), shape, Optional.of(classes));
  }

  private static Map<Long, String> categories(JsonNode json) {
    Map<Long, String> categories = new LinkedHashMap<>();
    for (JsonNode each : json.path("categories")) {
      categories.put(each.path("id").asLong(), each.path("name").asText());
    }
    return categories;
  }

  private static CocoExamples instances(
      JsonNode json,
      Path images,
      Path annotations,
      Map<Long, String> categories,
      Optional<String> category,
      Shape shape,
      Optional<Classes> classes) {
    Map<Long, Path> files = files(json, images, annotations);
    Map<Path, List<JsonNode>> instances = new LinkedHashMap<>();
    files.values().forEach(file -> instances.put(file, new ArrayList<>()));
    for (JsonNode annotation : json.path("annotations")) {
      String name = categories.get(annotation.path("category_id").asLong());
      if (name == null) {
        throw new TrainingDataException(
            "%s: annotation %s is of category %s; expected one of \"categories\"."
                .formatted(annotations, annotation.path("id"), annotation.path("category_id")));
      }
      Path file = file(files, annotation, annotations);
      if (category.isEmpty() || category.get().equals(name)) {
        instances.get(file).add(annotation);
      }
    }
    List<Entry> entries = new ArrayList<>();
    instances.forEach(
        (file, inside) -> {
          Set<String> names = new LinkedHashSet<>();
          inside.forEach(each -> names.add(categories.get(each.path("category_id").asLong())));
          entries.add(new Entry(file, String.join(", ", names), List.copyOf(inside)));
        });
    if (entries.isEmpty()) {
      throw new TrainingDataException("%s has no images.".formatted(annotations));
    }
    return new CocoExamples(annotations, entries, Optional.of(shape), classes, categories);
  }

  private static JsonNode read(Path annotations) {
    try {
      return new ObjectMapper().readTree(annotations.toFile());
    } catch (IOException e) {
      throw new TrainingDataException("%s cannot be read: %s".formatted(annotations, e), e);
    }
  }

  private static Map<Long, Path> files(JsonNode json, Path images, Path annotations) {
    Map<Long, Path> files = new LinkedHashMap<>();
    for (JsonNode image : json.path("images")) {
      long id = image.path("id").asLong(-1);
      String name = image.path("file_name").asText();
      Path path = images.resolve(name).normalize();
      if (!path.startsWith(images.normalize())) {
        throw new TrainingDataException(
            "%s: image %d is '%s'; expected a file in %s."
                .formatted(annotations, id, name, images));
      }
      files.put(id, path);
    }
    return files;
  }

  private static Path file(Map<Long, Path> files, JsonNode annotation, Path annotations) {
    long id = annotation.path("image_id").asLong(-1);
    Path file = files.get(id);
    if (file == null) {
      throw new TrainingDataException(
          "%s: annotation %s names image %d; expected one of \"images\"."
              .formatted(annotations, annotation.path("id"), id));
    }
    return file;
  }

  @Override
  public int size() {
    return entries.size();
  }

  @Override
  public Example at(int index) {
    Entry entry = entries.get(index);
    Raster image = ImageFiles.read(entry.image());
    return new Example(
        image,
        entry.caption(),
        shape.map(
            kind ->
                classes
                    .map(all -> mask(entry, image, kind, all))
                    .orElseGet(() -> mask(entry, image, kind))));
  }

  private Raster mask(Entry entry, Raster image, Shape kind, Classes all) {
    int plane = image.width() * image.height();
    float[] values = new float[all.labels().size() * plane];
    all.background().ifPresent(i -> Arrays.fill(values, i * plane, (i + 1) * plane, 1));
    for (JsonNode instance : entry.instances()) {
      CocoMask mask = new CocoMask(image.width(), image.height());
      add(mask, instance, kind);
      float[] inside = mask.values();
      int number = all.labels().indexOf(categories.get(instance.path("category_id").asLong()));
      for (int i = 0; i < plane; i++) {
        for (int c = 0; inside[i] != 0 && c < all.labels().size(); c++) {
          values[c * plane + i] = c == number ? 1 : 0;
        }
      }
    }
    return new Raster(all.labels().size(), image.height(), image.width(), values);
  }

  private Raster mask(Entry entry, Raster image, Shape kind) {
    CocoMask mask = new CocoMask(image.width(), image.height());
    entry.instances().forEach(instance -> add(mask, instance, kind));
    return new Raster(1, image.height(), image.width(), mask.values());
  }

  private void add(CocoMask mask, JsonNode instance, Shape kind) {
    try {
      if (kind == Shape.BOX) {
        mask.addBox(instance.path("bbox"));
      } else {
        mask.add(instance.path("segmentation"));
      }
    } catch (IllegalArgumentException e) {
      throw new TrainingDataException(
          "%s: annotation %s has %s.".formatted(annotations, instance.path("id"), e.getMessage()),
          e);
    }
  }
}
