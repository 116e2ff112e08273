/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.examples.Topics;
import java.util.List;

/** The two jobs that a chaos run has in its cluster. */
enum ChaosJob {
  PROMPTS("p", "chaos-prompts-", "io.github.flinkdiffusion.examples.TextToImageJob", "mini-emoji") {
    @Override
    Topics topics() {
      return Topics.withPrefix(prefix());
    }
  },
  IMAGES(
      "i", "chaos-images-", "io.github.flinkdiffusion.examples.ImageTaskJob", "mini-satellite-x4") {
    @Override
    Topics topics() {
      return Topics.ofImageTasks(prefix());
    }
  };

  /** Of every topic. */
  static final int PARTITIONS = 2;

  private final String letter;
  private final String prefix;
  private final String program;
  private final String model;

  ChaosJob(String letter, String prefix, String program, String model) {
    this.letter = letter;
    this.prefix = prefix;
    this.program = program;
    this.model = model;
  }

  abstract Topics topics();

  List<String> topicNames() {
    Topics topics = topics();
    return List.of(topics.requests(), topics.images(), topics.failures(), topics.progress());
  }

  /** Begins the names of its requests. */
  String letter() {
    return letter;
  }

  String prefix() {
    return prefix;
  }

  String program() {
    return program;
  }

  /** Its folder's name below examples/models. */
  String model() {
    return model;
  }

  /** What Flink calls it. */
  String jobName() {
    return prefix + (this == PROMPTS ? "text-to-image" : "image-tasks");
  }
}
