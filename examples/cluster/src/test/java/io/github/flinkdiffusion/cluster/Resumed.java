/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A request that a TaskManager went on with in mid-flight, as its log says.
 *
 * @param time in ms since 1970
 * @param step how many network steps lay behind it
 */
record Resumed(String id, int step, long time) {
  private static final Pattern LINE =
      Pattern.compile("^(\\S+ \\S+) .* Request (\\S+) continues after step (\\d+)\\.$");
  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss.SSS");

  /** All of them, in the logs of a cluster. */
  static List<Resumed> in(Path folder) throws IOException {
    List<Resumed> all = new ArrayList<>();
    for (int number = 1; number <= 2; number++) {
      for (String line : Files.readAllLines(folder.resolve("log/taskmanager-" + number + ".log"))) {
        Matcher resumed = LINE.matcher(line);
        if (resumed.matches()) {
          long time =
              LocalDateTime.parse(resumed.group(1), TIME)
                  .atZone(ZoneId.systemDefault())
                  .toInstant()
                  .toEpochMilli();
          all.add(new Resumed(resumed.group(2), Integer.parseInt(resumed.group(3)), time));
        }
      }
    }
    return all;
  }
}
