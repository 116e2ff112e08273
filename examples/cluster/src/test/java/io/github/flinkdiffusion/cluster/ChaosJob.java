/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.examples.Topics;
import java.util.List;
import java.util.Locale;

/** The jobs that a chaos run has in its cluster: one for each kind of requests. */
enum ChaosJob {
  /** Prompts in mixed steps, schedulers and guidance, whose steps are reused; on PyTorch. */
  PROMPTS(
      "p",
      "text-to-image",
      "io.github.flinkdiffusion.examples.TextToImageJob",
      "examples/models/mini-emoji",
      "-Ddiffusion.engine=pytorch",
      "-Ddiffusion.cache.interval=1",
      // Results of this job are in their events.
      "-Ddiffusion.payload.inline-limit=1 mb"),
  /** Small images, made larger; in events and beside Kafka, in several formats. */
  IMAGES(
      "i",
      "image-tasks",
      "io.github.flinkdiffusion.examples.ImageTaskJob",
      "examples/models/mini-satellite-x4",
      // Results of this job are references.
      "-Ddiffusion.payload.inline-limit=1 kb",
      "-Ddiffusion.image.max-decoded-size=64 mb"),
  /** Prompts of which each names other LoRAs; on ONNX Runtime. */
  ADAPTERS(
      "a",
      "text-to-image",
      "io.github.flinkdiffusion.examples.TextToImageJob",
      "examples/models/mini-emoji",
      "-Ddiffusion.engine=onnxruntime"),
  /** Prompts for a transformer, with another kind of noise, text encoders and scheduler. */
  TRANSFORMERS(
      "t",
      "text-to-image",
      "io.github.flinkdiffusion.examples.TextToImageJob",
      "flink-diffusion-ops/src/test/resources/fixtures/models/tiny-flux-dev",
      "-Ddiffusion.cache.interval=1"),
  /** Texts about images, a token a step. */
  CAPTIONS(
      "c",
      "captions",
      "io.github.flinkdiffusion.cluster.CaptionJob",
      "flink-diffusion-ops/src/test/resources/fixtures/text/tiny-blip-caption",
      "-Ddiffusion.image.max-decoded-size=64 mb"),
  /** Frames of live streams, each of which begins with the result before it. */
  LIVE(
      "l",
      "image-tasks",
      "io.github.flinkdiffusion.examples.ImageTaskJob",
      "examples/models/mini-satellite-x4",
      "-Ddiffusion.output-order=UNORDERED",
      "-Ddiffusion.live.enabled=true",
      "-Ddiffusion.live.blend=0.3",
      // A run that was ended goes on days later.
      "-Ddiffusion.live.ttl=30 d",
      "-Ddiffusion.live.max-streams=10000");

  /** Of every topic. */
  static final int PARTITIONS = 2;

  /** Frames of a live stream: as many as a job has templates, which they are. */
  private static final int FRAMES = ChaosRequests.TEMPLATES;

  private final String letter;
  private final String task;
  private final String program;
  private final String model;
  private final List<String> options;

  ChaosJob(String letter, String task, String program, String model, String... options) {
    this.letter = letter;
    this.task = task;
    this.program = program;
    this.model = model;
    this.options = List.of(options);
  }

  Topics topics() {
    return isOfPrompts() ? Topics.withPrefix(prefix()) : Topics.ofImageTasks(prefix());
  }

  /** Whether its requests are prompts; else they are image tasks. */
  boolean isOfPrompts() {
    return task.equals("text-to-image");
  }

  List<String> topicNames() {
    Topics topics = topics();
    return List.of(topics.requests(), topics.images(), topics.failures(), topics.progress());
  }

  /** Begins the names of its requests. */
  String letter() {
    return letter;
  }

  String prefix() {
    return "chaos-" + name().toLowerCase(Locale.ROOT) + "-";
  }

  String program() {
    return program;
  }

  /** Its model's folder, below the project's. */
  String model() {
    return model;
  }

  /** What differs from the other jobs' options. */
  List<String> options() {
    return options;
  }

  /** What Flink calls it. */
  String jobName() {
    return prefix() + task;
  }

  /**
   * How far an image may be from the undisturbed one, in levels of 256: kernels round differently
   * for other batches, and a live frame passes on what the one before it was rounded to. Texts are
   * equal.
   */
  int allowedLevels() {
    return switch (this) {
      case CAPTIONS -> 0;
      case LIVE -> 2;
      default -> 1;
    };
  }

  /**
   * Of the topic with requests: alternating, so that no subtask is idle; frames of a stream stay in
   * order.
   *
   * @param number of the request, which counts from 0
   */
  int partition(int number) {
    return (this == LIVE ? number / FRAMES : number) % PARTITIONS;
  }

  /** Of a live frame: which stream it is in. Stream 0 is the undisturbed one. */
  static int stream(int number) {
    return number / FRAMES;
  }

  /** Of a live frame: which one of its stream it is. */
  static int frame(int number) {
    return number % FRAMES;
  }
}
