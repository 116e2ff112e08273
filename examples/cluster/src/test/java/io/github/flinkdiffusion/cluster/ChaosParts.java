/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/**
 * The processes of the cluster, as a run breaks them; each method says what exactly it did.
 *
 * @param logs folder of the processes' logs
 */
record ChaosParts(LocalCluster cluster, Path logs) {

  /** Leaves things as they are. */
  static String hold(int seconds) throws InterruptedException {
    Thread.sleep(seconds * 1000L);
    return seconds + " s";
  }

  /** Kills processes and starts them again after a moment. */
  String kill(List<String> parts, Random random) throws InterruptedException {
    cluster.run(Stream.concat(Stream.of("kill"), parts.stream()).toArray(String[]::new));
    int seconds = random.nextInt(4);
    Thread.sleep(seconds * 1000L);
    cluster.run(Stream.concat(Stream.of("start"), reversed(parts).stream()).toArray(String[]::new));
    return parts.size() > 1 ? "" : parts.get(0) + ", back after " + seconds + " s";
  }

  private static List<String> reversed(List<String> parts) {
    List<String> reversed = new ArrayList<>(parts);
    Collections.reverse(reversed);
    return reversed;
  }

  /** The JobManager whose log says last that it got the lead. */
  String leader() throws IOException {
    String last = "";
    String leader = "jobmanager";
    for (String part : List.of("jobmanager", "jobmanager-2")) {
      Path log = logs.resolve(part + ".log");
      if (Files.exists(log)) {
        try (Stream<String> lines = Files.lines(log)) {
          String granted =
              lines
                  .filter(line -> line.contains("DispatcherRunner was granted leadership"))
                  .reduce("", (a, b) -> b);
          if (granted.compareTo(last) > 0) {
            last = granted;
            leader = part;
          }
        }
      }
    }
    return leader;
  }

  /** Stops a process without ending it. */
  String pause(String part, int seconds) throws InterruptedException {
    cluster.run("pause", part);
    try {
      Thread.sleep(seconds * 1000L);
    } finally {
      cluster.run("resume", part);
    }
    return part + ", " + seconds + " s";
  }
}
