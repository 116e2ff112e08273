/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.function.LongSupplier;

/**
 * How long a training took, in all its runs: a file {@code seconds.txt}. What a run does after its
 * last save is not counted, since it is done again.
 */
final class TrainingSeconds {
  private static final String FILE = "seconds.txt";
  private static final double NANOS = 1e9;

  private final Path file;
  private final LongSupplier nanoTime;
  private final double before;
  private final long start;

  TrainingSeconds(Path out, LongSupplier nanoTime) {
    this.file = out.resolve(FILE);
    this.nanoTime = nanoTime;
    this.before = of(out).orElse(0);
    this.start = nanoTime.getAsLong();
  }

  void save() throws IOException {
    double seconds = before + (nanoTime.getAsLong() - start) / NANOS;
    Files.writeString(file, String.format(Locale.ROOT, "%.1f%n", seconds));
  }

  /** Of a training's folder; none if its file is not there or has no number. */
  static OptionalDouble of(Path out) {
    try {
      return OptionalDouble.of(Double.parseDouble(Files.readString(out.resolve(FILE)).strip()));
    } catch (IOException | NumberFormatException e) {
      return OptionalDouble.empty();
    }
  }
}
