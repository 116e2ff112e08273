/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** Results as JSON, one file a benchmark: a later run replaces an earlier one. */
final class ResultFiles {
  private static final ObjectMapper JSON =
      new ObjectMapper()
          .enable(SerializationFeature.INDENT_OUTPUT)
          .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);

  private ResultFiles() {}

  static Path write(Path folder, BenchmarkResult result) {
    Path file = folder.resolve(result.benchmark() + ".json");
    try {
      Files.createDirectories(folder);
      Files.writeString(file, JSON.writeValueAsString(result) + "\n");
      return file;
    } catch (IOException e) {
      throw new BenchmarkException("Result " + file + " could not be written: " + e, e);
    }
  }

  /** All results of a folder, in the order of their files' names. */
  static List<BenchmarkResult> readAll(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      List<BenchmarkResult> results = new ArrayList<>();
      for (Path file : files.filter(each -> each.toString().endsWith(".json")).sorted().toList()) {
        results.add(read(file));
      }
      return results;
    } catch (IOException e) {
      throw new BenchmarkException("Results cannot be read from " + folder + ": " + e, e);
    }
  }

  private static BenchmarkResult read(Path file) {
    try {
      return JSON.readValue(file.toFile(), BenchmarkResult.class);
    } catch (IOException e) {
      throw new BenchmarkException("Result " + file + " is not one: " + e.getMessage(), e);
    }
  }
}
