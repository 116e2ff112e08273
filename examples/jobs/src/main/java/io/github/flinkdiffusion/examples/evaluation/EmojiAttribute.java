/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import io.github.flinkdiffusion.examples.emoji.EmojiImages;
import io.github.flinkdiffusion.examples.emoji.EmojiScene;
import io.github.flinkdiffusion.examples.emoji.EmojiVocabulary;
import io.github.flinkdiffusion.ops.image.Raster;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * An attribute of the nearest of mini-emoji's 960 true scenes, by mean squared error over pixels,
 * as {@code MiniEmojiEvaluation} judges the model.
 */
final class EmojiAttribute implements AttributeReader {
  /** What of a scene. */
  enum Part {
    NOUN(scene -> scene.emoji().name()),
    BACKGROUND(scene -> scene.background().name()),
    SIZE(scene -> scene.size().name().toLowerCase(java.util.Locale.ROOT));

    private final Function<EmojiScene, String> value;

    Part(Function<EmojiScene, String> value) {
      this.value = value;
    }
  }

  /** True scenes, rendered once for all attributes. */
  static final class Scenes {
    private final List<EmojiScene> scenes = EmojiVocabulary.scenes();
    private final List<float[]> pixels;

    Scenes(EmojiImages drawings) {
      this.pixels = scenes.stream().map(scene -> scene.render(drawings).data()).toList();
    }

    EmojiScene nearest(Raster image) {
      float[] seen = image.data();
      if (seen.length != pixels.get(0).length) {
        throw new EvaluationException(
            "An image of %d x %d pixels and %d channels is compared with mini-emoji's scenes; only"
                    .formatted(image.width(), image.height(), image.channels())
                + " color images of 64 x 64 pixels can be");
      }
      int nearest = 0;
      double least = Double.MAX_VALUE;
      for (int i = 0; i < pixels.size(); i++) {
        double error = error(seen, pixels.get(i), least);
        if (error < least) {
          least = error;
          nearest = i;
        }
      }
      return scenes.get(nearest);
    }

    private static double error(float[] a, float[] b, double enough) {
      double sum = 0;
      for (int i = 0; i < a.length && sum < enough; i++) {
        double difference = a[i] - b[i];
        sum += difference * difference;
      }
      return sum;
    }
  }

  private final Scenes scenes;
  private final Part part;
  private final List<String> classes;
  private final Map<String, Integer> indexes = new LinkedHashMap<>();

  /**
   * @param groups values of each class; null makes each value a class of its own
   */
  EmojiAttribute(Scenes scenes, Part part, Map<String, List<String>> groups) {
    this.scenes = scenes;
    this.part = part;
    Map<String, List<String>> named = groups;
    if (named == null) {
      named = new LinkedHashMap<>();
      for (EmojiScene scene : scenes.scenes) {
        named.put(part.value.apply(scene), List.of(part.value.apply(scene)));
      }
    }
    this.classes = new ArrayList<>(named.keySet());
    named.forEach(
        (name, values) ->
            values.forEach(
                value -> {
                  if (indexes.put(value, classes.indexOf(name)) != null) {
                    throw new EvaluationException(
                        "'%s' is in two groups; expected in one".formatted(value));
                  }
                }));
    for (EmojiScene scene : scenes.scenes) {
      if (!indexes.containsKey(part.value.apply(scene))) {
        throw new EvaluationException(
            "'%s' is in no group; expected each of mini-emoji's in one"
                .formatted(part.value.apply(scene)));
      }
    }
  }

  @Override
  public List<String> classes() {
    return classes;
  }

  @Override
  public String description() {
    return "No network: the nearest of mini-emoji's 960 true scenes by mean squared error, as its"
        + " evaluation judges it (100 % right on scenes that it was trained on).";
  }

  @Override
  public int[] read(List<Raster> images) {
    return images.stream()
        .mapToInt(image -> indexes.get(part.value.apply(scenes.nearest(image))))
        .toArray();
  }
}
