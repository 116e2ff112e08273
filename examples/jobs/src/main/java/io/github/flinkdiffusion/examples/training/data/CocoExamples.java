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
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * COCO's captions, an example for each; or its instances, an example for each image, with a mask
 * that is white where an instance or its box is.
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

  private final Path annotations;
  private final List<Entry> entries;
  private final Optional<Shape> shape;

  private CocoExamples(Path annotations, List<Entry> entries, Optional<Shape> shape) {
    this.annotations = annotations;
    this.entries = List.copyOf(entries);
    this.shape = shape;
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
    return new CocoExamples(annotations, entries, Optional.empty());
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
    Map<Long, String> categories = new LinkedHashMap<>();
    for (JsonNode each : json.path("categories")) {
      categories.put(each.path("id").asLong(), each.path("name").asText());
    }
    if (category.isPresent() && !categories.containsValue(category.get())) {
      throw new TrainingDataException(
          "%s has no category '%s'; it has %s."
              .formatted(annotations, category.get(), categories.values()));
    }
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
    return new CocoExamples(annotations, entries, Optional.of(shape));
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
    return new Example(image, entry.caption(), shape.map(each -> mask(entry, image, each)));
  }

  private Raster mask(Entry entry, Raster image, Shape kind) {
    CocoMask mask = new CocoMask(image.width(), image.height());
    for (JsonNode instance : entry.instances()) {
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
    return new Raster(1, image.height(), image.width(), mask.values());
  }
}
