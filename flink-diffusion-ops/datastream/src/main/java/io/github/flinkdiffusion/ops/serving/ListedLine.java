/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.configuration.ConfigOption;

/**
 * A line of a list that the user brings as a file in UTF-8. Empty lines, and those that begin with
 * {@code #}, are none.
 *
 * @param number in the file, from 1
 * @param text without spaces around it
 */
record ListedLine(int number, String text) {
  private static final int MOST_BYTES = 1 << 20;

  /**
   * @param what the list is called in messages
   * @param most lines of the file, whatever they hold
   * @throws DiffusionException naming the file and the option
   */
  static List<ListedLine> read(String file, ConfigOption<String> option, String what, int most) {
    byte[] bytes;
    try (var stream = Files.newInputStream(Path.of(file))) {
      bytes = stream.readNBytes(MOST_BYTES + 1);
    } catch (IOException e) {
      throw new DiffusionException(
          "Cannot read the %s %s (%s): %s".formatted(what, file, option.key(), e));
    }
    List<String> lines = new String(bytes, StandardCharsets.UTF_8).lines().toList();
    if (bytes.length > MOST_BYTES || lines.size() > most) {
      throw new DiffusionException(
          "The %s %s is too long; at most %d lines and %d bytes are accepted"
              .formatted(what, file, most, MOST_BYTES));
    }
    List<ListedLine> read = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      String line = lines.get(i).strip();
      if (!line.isEmpty() && !line.startsWith("#")) {
        read.add(new ListedLine(i + 1, line));
      }
    }
    return read;
  }
}
