/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** COCO's captions: an example for each annotation, so an image appears once for each caption. */
public final class CocoExamples implements ExampleSet {
  private record Entry(Path image, String caption) {}

  private final List<Entry> entries;

  private CocoExamples(List<Entry> entries) {
    this.entries = List.copyOf(entries);
  }

  /**
   * @param images folder of the images
   * @param annotations such as {@code captions_train2017.json}
   */
  public static CocoExamples captions(Path images, Path annotations) {
    JsonNode json;
    try {
      json = new ObjectMapper().readTree(annotations.toFile());
    } catch (IOException e) {
      throw new TrainingDataException("%s cannot be read: %s".formatted(annotations, e), e);
    }
    Map<Long, String> files = new HashMap<>();
    for (JsonNode image : json.path("images")) {
      files.put(image.path("id").asLong(-1), image.path("file_name").asText());
    }
    List<Entry> entries = new ArrayList<>();
    for (JsonNode annotation : json.path("annotations")) {
      long id = annotation.path("image_id").asLong(-1);
      String file = files.get(id);
      if (file == null || !annotation.path("caption").isTextual()) {
        throw new TrainingDataException(
            "%s: annotation %s names image %d; expected one of \"images\" and a \"caption\"."
                .formatted(annotations, annotation.path("id"), id));
      }
      Path path = images.resolve(file).normalize();
      if (!path.startsWith(images.normalize())) {
        throw new TrainingDataException(
            "%s: image %d is '%s'; expected a file in %s."
                .formatted(annotations, id, file, images));
      }
      entries.add(new Entry(path, annotation.path("caption").asText().strip()));
    }
    if (entries.isEmpty()) {
      throw new TrainingDataException("%s has no captions.".formatted(annotations));
    }
    return new CocoExamples(entries);
  }

  @Override
  public int size() {
    return entries.size();
  }

  @Override
  public Example at(int index) {
    Entry entry = entries.get(index);
    return new Example(ImageFiles.read(entry.image()), entry.caption(), Optional.empty());
  }
}
