/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * Compares the cases that {@code random_folders.py} has drawn with what this makes of them, and
 * says how many images are equal. Not run in the build:
 *
 * <pre>
 * java -cp (the tests' class path) io.github.flinkdiffusion.ops.pipeline.RandomFolders FOLDER [refusals]
 * </pre>
 *
 * With a second argument, both reasons of what both refuse are printed, too. Where images differ,
 * {@code rounding.py} measures whether that is more than float32's rounding.
 */
final class RandomFolders {
  private static final double TOLERANCE = 1e-3;

  private RandomFolders() {}

  public static void main(String[] arguments) throws IOException {
    List<Path> files;
    try (Stream<Path> all = Files.list(Path.of(arguments[0]))) {
      files = all.filter(file -> file.toString().endsWith(".json.gz")).sorted().toList();
    }
    for (Path file : files) {
      int equal = 0;
      int bothRefuse = 0;
      int listed = 0;
      int differ = 0;
      for (FolderCase folderCase : FolderCase.read(file)) {
        Path folder = Files.createTempDirectory("random-folder");
        try {
          folderCase.write(folder);
          List<FolderCase.Outcome> outcomes = folderCase.run(folder);
          for (int i = 0; i < outcomes.size(); i++) {
            JsonNode expected = folderCase.expected().get(i);
            String difference = difference(outcomes.get(i), expected);
            if (difference != null
                && (folderCase.listed().isPresent() || isRounding(outcomes.get(i), expected))) {
              listed++;
              System.out.println(folderCase.name() + ": listed, " + difference);
            } else if (difference != null) {
              differ++;
              System.out.println(folderCase.name() + ": " + difference);
            } else if (expected.has("refused")) {
              bothRefuse++;
              if (arguments.length > 1 && i == 0) {
                System.out.printf(
                    "%s: refused%n  there: %s%n  here:  %s%n",
                    folderCase.name(), expected.get("refused").asText(), outcomes.get(i).refusal());
              }
            } else {
              equal++;
            }
          }
        } catch (RuntimeException e) {
          differ += folderCase.expected().size();
          System.out.println(folderCase.name() + ": " + e);
        } finally {
          delete(folder);
        }
      }
      System.out.println(
          "%s: %d equal, %d refused by both, %d listed, %d differ"
              .formatted(file.getFileName(), equal, bothRefuse, listed, differ));
    }
  }

  /** Null if there is none. */
  private static String difference(FolderCase.Outcome outcome, JsonNode expected) {
    if (expected.has("refused")) {
      return outcome.image() == null ? null : "refused there: " + expected.get("refused").asText();
    }
    if (outcome.image() == null) {
      return "refused here: " + outcome.refusal();
    }
    double distance = FolderCase.distance(outcome.image(), FolderCase.expectedPicture(expected));
    return distance <= TOLERANCE ? null : "differs by " + distance;
  }

  /** Whether the difference is one that rounding makes in diffusers, too ({@code rounding.py}). */
  private static boolean isRounding(FolderCase.Outcome outcome, JsonNode expected) {
    if (outcome.image() == null || !expected.has("rounding")) {
      return false;
    }
    double distance = FolderCase.distance(outcome.image(), FolderCase.expectedPicture(expected));
    if (distance <= expected.get("rounding").asDouble()) {
      return true;
    }
    if (!expected.has("exact")) {
      return false;
    }
    ObjectNode exact = expected.deepCopy();
    exact.set("pixels", expected.get("exact"));
    return FolderCase.distance(outcome.image(), FolderCase.expectedPicture(exact)) <= TOLERANCE;
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
