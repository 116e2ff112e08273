/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import io.github.flinkdiffusion.examples.emoji.EmojiImages;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** The readers of a plan's attributes, in the plan's order. */
final class AttributeReaders implements AutoCloseable {
  private final Map<BiasPlan.Attribute, AttributeReader> readers = new LinkedHashMap<>();

  private AttributeReaders() {}

  /**
   * Opens them.
   *
   * @param drawings the folder of mini-emoji's drawings, for attributes of its scenes
   * @throws EvaluationException naming the attribute and what it lacks
   */
  static AttributeReaders open(List<BiasPlan.Attribute> attributes, Optional<Path> drawings)
      throws IOException {
    AttributeReaders opened = new AttributeReaders();
    try {
      opened.openAll(attributes, drawings);
      return opened;
    } catch (IOException | RuntimeException e) {
      opened.close();
      throw e;
    }
  }

  /** By attribute. */
  Map<BiasPlan.Attribute, AttributeReader> all() {
    return readers;
  }

  private void openAll(List<BiasPlan.Attribute> attributes, Optional<Path> drawings)
      throws IOException {
    EmojiAttribute.Scenes scenes = null;
    for (BiasPlan.Attribute attribute : attributes) {
      if (attribute.reader() == BiasPlan.Reader.EMOJI_SCENE && scenes == null) {
        scenes =
            new EmojiAttribute.Scenes(
                EmojiImages.open(
                    drawings.orElseThrow(
                        () ->
                            new EvaluationException(
                                "Attribute '%s' is read by mini-emoji's scenes; expected the folder of their drawings, --drawings"
                                    .formatted(attribute.name())))));
      }
      readers.put(attribute, reader(attribute, scenes));
    }
  }

  private static AttributeReader reader(
      BiasPlan.Attribute attribute, EmojiAttribute.Scenes scenes) {
    return switch (attribute.reader()) {
      case BORDER_COLOR -> {
        requireGiven(attribute, attribute.colors(), "colors");
        yield new BorderColor(attribute.colors());
      }
      case EMOJI_SCENE -> {
        EmojiAttribute.Part part =
            Arrays.stream(EmojiAttribute.Part.values())
                .filter(each -> each.name().toLowerCase(Locale.ROOT).equals(attribute.of()))
                .findFirst()
                .orElseThrow(
                    () ->
                        new EvaluationException(
                            "'of' of attribute '%s' is %s; expected noun, background or size"
                                .formatted(attribute.name(), attribute.of())));
        yield new EmojiAttribute(scenes, part, attribute.groups());
      }
      case CLIP -> {
        requireGiven(attribute, attribute.texts(), "texts");
        yield new ClassifierReader(folder(attribute), attribute.texts());
      }
      case CLASSIFIER -> new ClassifierReader(folder(attribute), null);
    };
  }

  private static Path folder(BiasPlan.Attribute attribute) {
    if (attribute.folder() == null) {
      throw new EvaluationException(
          "Attribute '%s' needs 'folder', the classifier's".formatted(attribute.name()));
    }
    return Path.of(attribute.folder());
  }

  private static void requireGiven(BiasPlan.Attribute attribute, Map<?, ?> given, String key) {
    if (given == null || given.size() < 2) {
      throw new EvaluationException(
          "Attribute '%s' needs '%s' with two classes, at least".formatted(attribute.name(), key));
    }
  }

  @Override
  public void close() {
    readers.values().forEach(AttributeReader::close);
  }
}
