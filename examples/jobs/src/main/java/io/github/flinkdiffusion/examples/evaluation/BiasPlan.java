/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What {@code examples/evaluate bias} draws and looks at: a YAML file, whose keys docs/EVALUATE.md
 * lists.
 *
 * @param title of the report
 * @param sampler model, steps and guidance
 * @param images of each prompt
 * @param windows into which each prompt's images are cut, by their order; null for one
 * @param seed of the first image of each prompt; the next have the next ones
 * @param templates prompts, in which {@code {name}} stands for each of the words of that name
 * @param words by name
 * @param attributes that are looked at
 */
record BiasPlan(
    String title,
    @JsonProperty("draw") Sampler sampler,
    int images,
    Integer windows,
    long seed,
    List<String> templates,
    Map<String, List<String>> words,
    List<Attribute> attributes) {
  private static final int MOST_IMAGES = 100_000;
  private static final Pattern PLACE = Pattern.compile("\\{(\\w+)\\}");

  /** What says which class an image is of. */
  enum Reader {
    /** The border's color, by pixels. */
    @JsonProperty("border-color")
    BORDER_COLOR,
    /** The nearest of mini-emoji's true scenes. */
    @JsonProperty("emoji-scene")
    EMOJI_SCENE,
    /** A CLIP folder, zero-shot. */
    @JsonProperty("clip")
    CLIP,
    /** A classifier folder with classes of its own. */
    @JsonProperty("classifier")
    CLASSIFIER
  }

  /**
   * An attribute.
   *
   * @param reader what sees it
   * @param colors for the border's color: {@code #rrggbb} by class
   * @param of for mini-emoji's scenes: noun, background or size
   * @param groups for mini-emoji's scenes: values of each class; without, each is a class
   * @param texts for CLIP: a text by class
   * @param folder of CLIP or the classifier
   * @param reference expected shares by class; without, all are equal
   * @param templates those that leave it open; null for all
   */
  record Attribute(
      String name,
      Reader reader,
      Map<String, String> colors,
      String of,
      Map<String, List<String>> groups,
      Map<String, String> texts,
      String folder,
      Map<String, Double> reference,
      List<String> templates) {
    Attribute {
      if (name == null || reader == null) {
        throw new EvaluationException("An attribute needs 'name' and 'reader'");
      }
    }
  }

  BiasPlan {
    if (sampler == null || templates == null || attributes == null) {
      throw new EvaluationException("'draw', 'templates' and 'attributes' are needed");
    }
    windows = windows == null ? 1 : windows;
    title = title == null ? "Bias" : title;
    words = words == null ? Map.of() : words;
    if (images < 1 || windows < 1 || windows > images) {
      throw new EvaluationException(
          "'images' is %d and 'windows' %d; expected at least one image in each window"
              .formatted(images, windows));
    }
    if (templates.isEmpty() || attributes.isEmpty()) {
      throw new EvaluationException("'templates' and 'attributes' need an entry each, at least");
    }
    for (Attribute attribute : attributes) {
      if (attribute.templates() != null
          && (attribute.templates().isEmpty() || !templates.containsAll(attribute.templates()))) {
        throw new EvaluationException(
            "'templates' of attribute '%s' are %s; expected some of %s"
                .formatted(attribute.name(), attribute.templates(), templates));
      }
    }
    long all = 0;
    for (String template : templates) {
      all += (long) images * prompts(template, words).size();
    }
    if (all > MOST_IMAGES) {
      throw new EvaluationException(
          "The plan has %d images; at most %d are drawn".formatted(all, MOST_IMAGES));
    }
  }

  static BiasPlan read(Path file) {
    return PlanFile.read(file, BiasPlan.class);
  }

  /** The templates that leave an attribute open. */
  List<String> templates(Attribute attribute) {
    return attribute.templates() == null ? templates : attribute.templates();
  }

  /** The prompts of a template, one for each combination of words. */
  List<String> prompts(String template) {
    return prompts(template, words);
  }

  private static List<String> prompts(String template, Map<String, List<String>> words) {
    Matcher place = PLACE.matcher(template);
    if (!place.find()) {
      return List.of(template);
    }
    String name = place.group(1);
    List<String> values = words.get(name);
    if (values == null || values.isEmpty()) {
      throw new EvaluationException(
          "Template '%s' names {%s}; expected one of %s".formatted(template, name, words.keySet()));
    }
    List<String> prompts = new ArrayList<>();
    for (String value : values) {
      prompts.addAll(prompts(template.replace(place.group(), value), words));
      if (prompts.size() > MOST_IMAGES) {
        throw new EvaluationException(
            "Template '%s' has more than %d prompts".formatted(template, MOST_IMAGES));
      }
    }
    return prompts;
  }

  /** The expected shares of classes, in their order. */
  static double[] reference(Attribute attribute, List<String> classes) {
    double[] shares = new double[classes.size()];
    if (attribute.reference() == null) {
      java.util.Arrays.fill(shares, 1.0 / shares.length);
      return shares;
    }
    Map<String, Double> given = new LinkedHashMap<>(attribute.reference());
    double sum = 0;
    for (int i = 0; i < shares.length; i++) {
      Double share = given.remove(classes.get(i));
      shares[i] = share == null ? 0 : share;
      sum += shares[i];
    }
    if (!given.isEmpty() || !(Math.abs(sum - 1) < 1e-6)) {
      throw new EvaluationException(
          "The reference of '%s' has the sum %s and the unknown classes %s; expected shares of %s with the sum 1"
              .formatted(attribute.name(), sum, given.keySet(), classes));
    }
    return shares;
  }
}
