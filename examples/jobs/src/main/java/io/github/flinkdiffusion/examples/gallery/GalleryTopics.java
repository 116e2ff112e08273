/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import java.util.ArrayList;
import java.util.List;

/**
 * The topics that a gallery reads and writes.
 *
 * @param prompts requests for images made from text
 * @param tasks requests for images made from images, by what is done with them
 * @param cancellations requests taken back
 * @param images results
 * @param failures dead letters
 * @param progress how far requests have come
 * @param votes what people found better; the gallery's own
 */
public record GalleryTopics(
    String prompts,
    List<Task> tasks,
    String cancellations,
    String images,
    String failures,
    String progress,
    String votes) {

  /**
   * What can be done with an image.
   *
   * @param name for addresses
   * @param label for people
   * @param topic where such requests go
   * @param steps denoising steps; 0 leaves them to the job
   * @param samples of an ensemble; 0 leaves them to the job
   */
  public record Task(String name, String label, String topic, int steps, int samples) {}

  public GalleryTopics {
    tasks = List.copyOf(tasks);
  }

  /**
   * The topics that the jobs of this project have behind a prefix: {@code prompts}, {@code
   * image-tasks}, {@code cancellations}, {@code images}, {@code failures}, {@code progress}, and
   * {@code votes}.
   */
  public static GalleryTopics withPrefix(String prefix) {
    return withPrefix(
        prefix,
        List.of(new Task("image", "Send it to the image job", prefix + "image-tasks", 0, 0)));
  }

  /** The same with other image tasks. */
  public static GalleryTopics withPrefix(String prefix, List<Task> tasks) {
    return new GalleryTopics(
        prefix + "prompts",
        tasks,
        prefix + "cancellations",
        prefix + "images",
        prefix + "failures",
        prefix + "progress",
        prefix + "votes");
  }

  /** All but the votes. */
  public List<String> ofTheJob() {
    List<String> all = new ArrayList<>(List.of(prompts));
    tasks.forEach(task -> all.add(task.topic()));
    all.addAll(List.of(cancellations, images, failures, progress));
    return all;
  }

  /** With those image tasks only. */
  GalleryTopics withTasks(List<Task> some) {
    return new GalleryTopics(prompts, some, cancellations, images, failures, progress, votes);
  }
}
