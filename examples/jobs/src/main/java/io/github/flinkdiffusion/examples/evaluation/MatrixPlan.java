/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.evaluation;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Tasks by skill, information flow and use case, as HEMM (P. P. Liang et al., NeurIPS 2024) sorts
 * those of multimodal models: a YAML file, whose keys docs/EVALUATE.md lists.
 *
 * @param sampler model, steps and guidance
 * @param images of each task
 * @param seed of the first image of each task
 * @param attributes that are read of each image
 */
record MatrixPlan(
    String title,
    @JsonProperty("draw") Sampler sampler,
    int images,
    long seed,
    List<BiasPlan.Attribute> attributes,
    List<Task> tasks) {
  private static final int MOST_IMAGES = 100_000;

  /** How information goes, of HEMM's four those that a generative model of images has. */
  enum Flow {
    /** From a text to an image of it. */
    @JsonProperty("translation")
    TRANSLATION,
    /** From an image and a text to the image changed. */
    @JsonProperty("editing")
    EDITING
  }

  /**
   * A task.
   *
   * @param name unique
   * @param skill what it takes
   * @param use what for
   * @param from for editing: the prompt of the image that is changed, drawn with the same seed
   * @param strength for editing
   * @param expect class by attribute; an image is right if it has all. Without, people judge
   * @param note what a person should look for
   */
  record Task(
      String name,
      String skill,
      Flow flow,
      String use,
      String prompt,
      String from,
      Double strength,
      Map<String, String> expect,
      String note) {
    Task {
      if (name == null || skill == null || flow == null || use == null || prompt == null) {
        throw new EvaluationException(
            "A task needs 'name', 'skill', 'flow', 'use' and 'prompt'; it has the name " + name);
      }
      if ((flow == Flow.EDITING) != (from != null)) {
        throw new EvaluationException(
            "Task '%s' needs 'from' if its flow is editing, and only then".formatted(name));
      }
      if (expect == null && note == null) {
        throw new EvaluationException(
            "Task '%s' needs 'expect', or a 'note' for people".formatted(name));
      }
      expect = expect == null ? Map.of() : expect;
      note = note == null ? "" : note;
    }
  }

  MatrixPlan {
    if (sampler == null || tasks == null || tasks.isEmpty()) {
      throw new EvaluationException("'draw' and 'tasks' are needed");
    }
    title = title == null ? "What the model can draw" : title;
    attributes = attributes == null ? List.of() : attributes;
    if (images < 1 || (long) images * tasks.size() > MOST_IMAGES) {
      throw new EvaluationException(
          "'images' is %d for %d tasks; expected 1 or more, and at most %d in all"
              .formatted(images, tasks.size(), MOST_IMAGES));
    }
    Set<String> names = new HashSet<>();
    Set<String> known =
        new LinkedHashSet<>(attributes.stream().map(BiasPlan.Attribute::name).toList());
    for (Task task : tasks) {
      if (!names.add(task.name())) {
        throw new EvaluationException("Two tasks have the name '%s'".formatted(task.name()));
      }
      if (!known.containsAll(task.expect().keySet())) {
        throw new EvaluationException(
            "Task '%s' expects %s; attributes are %s"
                .formatted(task.name(), task.expect().keySet(), known));
      }
    }
  }

  static MatrixPlan read(Path file) {
    return PlanFile.read(file, MatrixPlan.class);
  }
}
