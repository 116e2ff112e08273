/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/** The folder that a run leaves its results in. A second run replaces what the first one wrote. */
final class OutputFolder {
  static final String LOG = "run.log";
  static final String SUMMARY_JSON = "summary.json";
  static final String SUMMARY_TEXT = "summary.txt";
  static final String CONTACT_SHEET = "contact-sheet.png";
  static final String PICTURES = "pictures";
  private static final int NAME_LENGTH = 60;

  private final Path path;

  private OutputFolder(Path path) {
    this.path = path;
  }

  /**
   * Makes the folder, and removes what an earlier run's summary lists: a picture of that run beside
   * those of this one would mislead. Other files are left alone.
   *
   * @throws DemoException when it cannot be written
   */
  static OutputFolder prepare(Path path) {
    OutputFolder folder = new OutputFolder(path);
    try {
      Files.createDirectories(path.resolve(PICTURES));
      folder.removeEarlierPictures();
      for (String file : new String[] {SUMMARY_JSON, SUMMARY_TEXT, CONTACT_SHEET}) {
        Files.deleteIfExists(path.resolve(file));
      }
    } catch (IOException e) {
      throw folder.unwritable(e);
    }
    return folder;
  }

  /**
   * Makes the folder if need be, and leaves alone what is in it.
   *
   * @throws DemoException when it cannot be made
   */
  static OutputFolder existing(Path path) {
    OutputFolder folder = new OutputFolder(path);
    try {
      Files.createDirectories(path);
    } catch (IOException e) {
      throw folder.unwritable(e);
    }
    return folder;
  }

  private void removeEarlierPictures() throws IOException {
    Path summary = path.resolve(SUMMARY_JSON);
    if (!Files.isRegularFile(summary)) {
      return;
    }
    Path pictures = path.resolve(PICTURES);
    for (JsonNode picture : new ObjectMapper().readTree(summary.toFile()).path("pictures")) {
      Path file = path.resolve(picture.path("file").asText()).normalize();
      if (pictures.equals(file.getParent())) {
        Files.deleteIfExists(file);
      }
    }
  }

  /** Name of a picture's file below this folder: its number and the beginning of its prompt. */
  static String pictureName(int number, String prompt) {
    String words =
        prompt
            .substring(0, Math.min(prompt.length(), NAME_LENGTH))
            .toLowerCase(Locale.ROOT)
            .replaceAll("[^a-z0-9]+", "-")
            .replaceAll("^-|-$", "");
    return String.format(
        Locale.ROOT, "%s/%03d%s.png", PICTURES, number, words.isEmpty() ? "" : "-" + words);
  }

  /**
   * Writes a file.
   *
   * @param name below this folder
   * @throws DemoException when it cannot be written
   */
  void write(String name, byte[] content) {
    try {
      Files.write(path.resolve(name), content);
    } catch (IOException e) {
      throw unwritable(e);
    }
  }

  Path path() {
    return path;
  }

  private DemoException unwritable(IOException e) {
    return new DemoException(
        "Cannot write to the output folder %s (%s); choose another one with --out."
            .formatted(path, e),
        e);
  }
}
