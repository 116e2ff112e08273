/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;

/** What is generated from what, by the names that diffusers' UniDiffuserPipeline gives it. */
enum JointMode {
  JOINT("joint", "joint-generation", true, true),
  TEXT_TO_IMAGE("text2img", "text-to-image", true, false),
  IMAGE_TO_TEXT("img2text", "image-captioning", false, true),
  TEXT("text", "unconditional-text", false, true),
  IMAGE("img", "unconditional", true, false);

  static final String ACCEPTED =
      Arrays.stream(values()).map(mode -> mode.word).collect(Collectors.joining(", "));

  private final String word;
  private final String task;
  private final boolean images;
  private final boolean texts;

  JointMode(String word, String task, boolean images, boolean texts) {
    this.word = word;
    this.task = task;
    this.images = images;
    this.texts = texts;
  }

  static Optional<JointMode> named(String word) {
    return Arrays.stream(values()).filter(mode -> mode.word.equals(word)).findFirst();
  }

  /**
   * The mode that is asked for, or follows from what is given, as in diffusers. An event always has
   * a prompt, so an empty one is none.
   */
  static JointMode of(Arguments asked) {
    if (asked.has(Parameters.MODE)) {
      return named(asked.get(Parameters.MODE)).orElseThrow();
    }
    if (asked.has(Parameters.PROMPT) && !asked.get(Parameters.PROMPT).isEmpty()) {
      return TEXT_TO_IMAGE;
    }
    return asked.has(Parameters.IMAGE) ? IMAGE_TO_TEXT : JOINT;
  }

  /** diffusers' name. */
  String word() {
    return word;
  }

  /** As audit records name it. */
  String task() {
    return task;
  }

  /** Whether an image is generated. */
  boolean images() {
    return images;
  }

  /** Whether a text is generated. */
  boolean texts() {
    return texts;
  }
}
