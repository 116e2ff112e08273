/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/** A command as a reader would type it. */
final class CommandText {
  private CommandText() {}

  /**
   * Absolute paths are shortened to their last part: where somebody keeps a Python says nothing,
   * and a result is published.
   *
   * @param arguments of {@code benchmarks/run}
   */
  static String of(List<String> arguments) {
    return "benchmarks/run "
        + arguments.stream()
            .map(CommandText::shortened)
            .map(text -> text.contains(" ") ? "'" + text + "'" : text)
            .collect(Collectors.joining(" "));
  }

  private static String shortened(String argument) {
    int value = argument.startsWith("--") ? argument.indexOf('=') + 1 : 0;
    Path path = Path.of(argument.substring(value));
    return path.isAbsolute() && path.getFileName() != null
        ? argument.substring(0, value) + path.getFileName()
        : argument;
  }
}
