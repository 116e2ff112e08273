/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.detection;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.examples.evaluation.EvaluationException;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision.Box;
import io.github.flinkdiffusion.ops.quality.DetectionPrecision.Truth;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The true boxes of a COCO file of instances.
 *
 * @param images their numbers by the names of their files, in the order of the file
 * @param categories their numbers by their names, in the order of the file
 * @param truths whose images are named by {@link #key}
 */
public record CocoBoxes(
    Map<String, Long> images, Map<String, Long> categories, List<Truth> truths) {

  /**
   * Reads a file.
   *
   * @throws EvaluationException if it cannot be read, names what it has not, or has crowds
   */
  public static CocoBoxes read(Path file) {
    JsonNode json;
    try {
      json = new ObjectMapper().readTree(file.toFile());
    } catch (IOException e) {
      throw new EvaluationException("%s cannot be read: %s".formatted(file, e), e);
    }
    Map<String, Long> images = numbers(json.path("images"), "file_name");
    Map<String, Long> categories = numbers(json.path("categories"), "name");
    Map<Long, String> names = new LinkedHashMap<>();
    categories.forEach((name, number) -> names.put(number, name));
    List<Truth> truths = new ArrayList<>();
    for (JsonNode annotation : json.path("annotations")) {
      String category = names.get(annotation.path("category_id").asLong(-1));
      long image = annotation.path("image_id").asLong(-1);
      JsonNode box = annotation.path("bbox");
      if (category == null || !images.containsValue(image) || box.size() != 4) {
        throw new EvaluationException(
            "%s: annotation %s has no category, image or bbox of the file; expected all three."
                .formatted(file, annotation.path("id")));
      }
      if (annotation.path("iscrowd").asInt() != 0) {
        throw new EvaluationException(
            "%s: annotation %s is a crowd; only single things are measured. Remove it."
                .formatted(file, annotation.path("id")));
      }
      truths.add(new Truth(key(image), category, box(box)));
    }
    if (truths.isEmpty()) {
      throw new EvaluationException("%s has no annotations with boxes.".formatted(file));
    }
    return new CocoBoxes(images, categories, List.copyOf(truths));
  }

  /** An image's name in {@link DetectionPrecision}: in the order of COCO's numbers. */
  static String key(long image) {
    return "%019d".formatted(image);
  }

  static Box box(JsonNode box) {
    return new Box(
        box.get(0).asDouble(), box.get(1).asDouble(), box.get(2).asDouble(), box.get(3).asDouble());
  }

  private static Map<String, Long> numbers(JsonNode list, String name) {
    Map<String, Long> numbers = new LinkedHashMap<>();
    list.forEach(each -> numbers.put(each.path(name).asText(), each.path("id").asLong()));
    return numbers;
  }
}
