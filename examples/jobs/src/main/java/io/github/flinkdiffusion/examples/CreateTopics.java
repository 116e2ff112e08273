/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.util.Arrays;
import java.util.List;

/**
 * Creates topics that are missing, each with one partition, for records of 16 MB: what {@code
 * examples/cluster/cluster topics} runs.
 */
public final class CreateTopics {
  private CreateTopics() {}

  /**
   * @param args the broker's address, then the topics
   */
  public static void main(String[] args) {
    List<String> topics = Arrays.asList(args).subList(1, args.length);
    try {
      Topics.createMissing(args[0], topics, 1);
    } catch (DemoException e) {
      System.err.println("error: " + e.getMessage());
      System.exit(1);
    }
  }
}
