/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Requests for mini-emoji that differ in everything that a batch may mix. The same seed makes the
 * same ones.
 */
final class Requests {
  /** Solvers of one and of two network calls a step, with and without history and noise. */
  private static final List<String> SCHEDULERS =
      List.of(
          "PNDMScheduler",
          "DDIMScheduler",
          "EulerAncestralDiscreteScheduler",
          "DPMSolverMultistepScheduler",
          "HeunDiscreteScheduler",
          "UniPCMultistepScheduler");

  private static final List<String> THINGS =
      List.of("red apple", "tiger face", "rocket", "sunflower", "turtle", "robot", "pizza");
  private static final List<String> COLOURS = List.of("blue", "green", "white", "purple", "gray");
  private static final int LEAST_STEPS = 4;
  private static final int MOST_STEPS = 12;
  private static final int LONGEST_CACHE_INTERVAL = 3;

  private Requests() {}

  static String id(int number) {
    return "r" + number;
  }

  /** Of one of them. */
  static int cacheInterval(long seed, String id) {
    return Integer.parseInt(
        request(seed, Integer.parseInt(id.substring(1))).getParameters().get("cacheInterval"));
  }

  static PromptEvent request(long seed, int number) {
    Random random = new Random(seed * 1_000_003 + number);
    return PromptEvent.newBuilder()
        .setId(id(number))
        .setPrompt("a " + anyOf(THINGS, random) + " on a " + anyOf(COLOURS, random) + " background")
        .setSeed((long) number)
        .setSteps(LEAST_STEPS + random.nextInt(MOST_STEPS - LEAST_STEPS + 1))
        .setGuidanceScale(1.0 + random.nextInt(3))
        .setScheduler(anyOf(SCHEDULERS, random))
        .setPriority(random.nextInt(2))
        .setParameters(
            Map.of("cacheInterval", Integer.toString(1 + random.nextInt(LONGEST_CACHE_INTERVAL))))
        .build();
  }

  private static <T> T anyOf(List<T> values, Random random) {
    return values.get(random.nextInt(values.size()));
  }
}
