/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training.data;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.PictureSafety;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * Chooses the images of a folder that are trained on: those that can be read, have an allowed
 * license, are not flagged by a safety checker, and look like no image before them.
 *
 * @param folder of the images
 * @param nearest hashes that differ in so many bits or fewer are of near-duplicates
 * @param licenses by a path in the folder, a file or a folder; empty if licenses are not checked
 * @param allowed licenses; empty if all are
 * @param safety flags images; empty if none is to. The caller closes it.
 */
public record Curation(
    Path folder,
    int nearest,
    Optional<Map<String, String>> licenses,
    Set<String> allowed,
    Optional<PictureSafety> safety) {
  private static final int BITS = Long.SIZE;

  public Curation {
    if (nearest < 0 || nearest >= BITS / 2) {
      throw new IllegalArgumentException(
          "Near-duplicates differ in %d bits at most; expected 0 to %d."
              .formatted(nearest, BITS / 2 - 1));
    }
    allowed = Set.copyOf(allowed);
  }

  /** Why an image is not trained on. */
  public enum Reason {
    UNREADABLE,
    NO_LICENSE,
    LICENSE_NOT_ALLOWED,
    FLAGGED,
    /** The safety checker cannot look at it, so nobody knows. */
    NOT_CHECKED,
    NEAR_DUPLICATE
  }

  /**
   * An image that was left out.
   *
   * @param detail the license, the image that it duplicates, the checker, or the error
   */
  public record Dropped(String image, Reason reason, String detail) {}

  /**
   * What was chosen; images by their paths in the folder, in order.
   *
   * @param licenses how many of the kept images each has
   * @param channels how many kept images have so many channels
   * @param leastSide shortest side of a kept image, in pixels; 0 without images
   * @param greatestSide longest side of a kept image, in pixels
   */
  public record Result(
      List<String> kept,
      List<Dropped> dropped,
      Map<String, Integer> licenses,
      Map<Integer, Integer> channels,
      int leastSide,
      int greatestSide) {}

  /**
   * Reads a list of licenses: lines of a path, a comma and a license. The longest path that an
   * image's begins with counts.
   */
  public static Map<String, String> licenses(Path file) {
    Map<String, String> licenses = new LinkedHashMap<>();
    for (String line : ImageFiles.text(file).lines().toList()) {
      int comma = line.lastIndexOf(',');
      if (line.isBlank() || line.startsWith("#")) {
        continue;
      }
      if (comma < 1 || comma == line.length() - 1) {
        throw new TrainingDataException(
            "%s has the line '%s'; expected a path, a comma and a license.".formatted(file, line));
      }
      licenses.put(line.substring(0, comma).strip(), line.substring(comma + 1).strip());
    }
    return licenses;
  }

  /** Reads all images once, one at a time. */
  public Result run() {
    List<String> kept = new ArrayList<>();
    List<Dropped> dropped = new ArrayList<>();
    Map<String, Integer> counts = new TreeMap<>();
    Map<Integer, Integer> channels = new TreeMap<>();
    Neighbors neighbors = new Neighbors(nearest);
    int least = 0;
    int greatest = 0;
    for (Path file : ImageFiles.below(folder)) {
      String name = folder.relativize(file).toString().replace('\\', '/');
      Optional<String> license = licenses.flatMap(all -> license(all, name));
      if (licenses.isPresent() && license.isEmpty()) {
        dropped.add(new Dropped(name, Reason.NO_LICENSE, ""));
        continue;
      }
      if (license.isPresent() && !allowed.isEmpty() && !allowed.contains(license.get())) {
        dropped.add(new Dropped(name, Reason.LICENSE_NOT_ALLOWED, license.get()));
        continue;
      }
      Raster image;
      try {
        image = ImageFiles.read(file);
      } catch (TrainingDataException e) {
        dropped.add(new Dropped(name, Reason.UNREADABLE, e.getMessage()));
        continue;
      }
      // Before near-duplicates: a harmless image that looks like a flagged one is kept.
      Optional<Dropped> unsafe = safety.flatMap(checker -> unsafe(checker, name, image));
      if (unsafe.isPresent()) {
        dropped.add(unsafe.get());
        continue;
      }
      Optional<String> duplicate = neighbors.add(name, PerceptualHash.of(image));
      if (duplicate.isPresent()) {
        dropped.add(new Dropped(name, Reason.NEAR_DUPLICATE, duplicate.get()));
        continue;
      }
      kept.add(name);
      license.ifPresent(each -> counts.merge(each, 1, Integer::sum));
      channels.merge(image.channels(), 1, Integer::sum);
      int shorter = Math.min(image.width(), image.height());
      least = least == 0 ? shorter : Math.min(least, shorter);
      greatest = Math.max(greatest, Math.max(image.width(), image.height()));
    }
    return new Result(kept, dropped, counts, channels, least, greatest);
  }

  private static Optional<Dropped> unsafe(PictureSafety checker, String name, Raster image) {
    try {
      return checker.flags(image)
          ? Optional.of(new Dropped(name, Reason.FLAGGED, checker.name()))
          : Optional.empty();
    } catch (ImageException e) {
      return Optional.of(new Dropped(name, Reason.NOT_CHECKED, e.getMessage()));
    }
  }

  private static Optional<String> license(Map<String, String> licenses, String image) {
    return licenses.keySet().stream()
        .filter(
            path ->
                image.equals(path)
                    || path.equals(".")
                    || image.startsWith(path.endsWith("/") ? path : path + "/"))
        .max((a, b) -> Integer.compare(a.length(), b.length()))
        .map(licenses::get);
  }

  /**
   * Hashes within a distance. Two that differ in d bits agree in one of d + 1 bands of their bits,
   * so only those that share a band are compared.
   */
  static final class Neighbors {
    private record Named(String image, PerceptualHash hash) {}

    private final int distance;
    private final List<Map<Long, List<Named>>> bands = new ArrayList<>();

    Neighbors(int distance) {
      this.distance = distance;
      for (int i = 0; i <= distance; i++) {
        bands.add(new HashMap<>());
      }
    }

    /** Adds an image unless one within the distance is there; returns that one. */
    Optional<String> add(String image, PerceptualHash hash) {
      Set<Named> compared = new HashSet<>();
      for (int i = 0; i < bands.size(); i++) {
        for (Named other : bands.get(i).getOrDefault(band(hash, i), List.of())) {
          if (compared.add(other) && other.hash().distance(hash) <= distance) {
            return Optional.of(other.image());
          }
        }
      }
      Named named = new Named(image, hash);
      for (int i = 0; i < bands.size(); i++) {
        bands.get(i).computeIfAbsent(band(hash, i), key -> new ArrayList<>()).add(named);
      }
      return Optional.empty();
    }

    private long band(PerceptualHash hash, int number) {
      int begin = number * BITS / (distance + 1);
      int end = (number + 1) * BITS / (distance + 1);
      int length = end - begin;
      long mask = length == BITS ? -1L : (1L << length) - 1;
      return hash.bits() >>> begin & mask;
    }
  }

  /**
   * Writes {@code kept.txt}, {@code dropped.csv} and {@code DATASHEET.md} (the questions of Gebru
   * et al., "Datasheets for Datasets", that numbers can answer; the others are left for a person).
   */
  public void write(Path out, Result result) throws IOException {
    Files.createDirectories(out);
    Files.write(out.resolve("kept.txt"), result.kept());
    List<String> lines = new ArrayList<>(List.of("image,reason,detail"));
    result.dropped().forEach(each -> lines.add(csv(each)));
    Files.write(out.resolve("dropped.csv"), lines);
    Files.writeString(out.resolve("DATASHEET.md"), datasheet(result));
  }

  private static String csv(Dropped dropped) {
    return "%s,%s,%s"
        .formatted(
            quoted(dropped.image()),
            dropped.reason().name().toLowerCase(Locale.ROOT),
            quoted(dropped.detail()));
  }

  private static String quoted(String text) {
    return text.matches("[^\",\\r\\n]*") ? text : '"' + text.replace("\"", "\"\"") + '"';
  }

  private static String checked(PictureSafety checker, Map<Reason, Integer> reasons) {
    return "Checked by the safety checker %s, SHA-256 %s.\n- Flagged and left out: %d.\n- Could not be checked and left out: %d.\n"
        .formatted(
            checker.name(),
            checker.digest(),
            reasons.getOrDefault(Reason.FLAGGED, 0),
            reasons.getOrDefault(Reason.NOT_CHECKED, 0));
  }

  private String datasheet(Result result) {
    Map<Reason, Integer> reasons = new TreeMap<>();
    result.dropped().forEach(each -> reasons.merge(each.reason(), 1, Integer::sum));
    StringBuilder text = new StringBuilder("# Datasheet\n\n## Composition\n");
    text.append(
        "- Images: %d of %d that were found.\n"
            .formatted(result.kept().size(), result.kept().size() + result.dropped().size()));
    text.append("- Sides: %d to %d pixels.\n".formatted(result.leastSide(), result.greatestSide()));
    text.append("- Channels: %s.\n".formatted(result.channels()));
    text.append("\n## Licenses\n");
    if (licenses.isEmpty()) {
      text.append("Not checked: no list of licenses was given.\n");
    }
    result
        .licenses()
        .forEach((license, count) -> text.append("- %s: %d images.\n".formatted(license, count)));
    text.append("\n## Safety\n");
    text.append(
        safety
            .map(checker -> checked(checker, reasons))
            .orElse("Not checked: no safety checker was given.\n"));
    text.append("\n## Preprocessing\n");
    text.append(
        "Images whose perceptual hashes differ in %d of %d bits or fewer count as one.\n"
            .formatted(nearest, BITS));
    reasons.forEach(
        (reason, count) ->
            text.append(
                "- Left out, %s: %d.\n"
                    .formatted(reason.name().toLowerCase(Locale.ROOT).replace('_', ' '), count)));
    text.append("\n## For a person to answer\n");
    for (String question :
        List.of(
            "Why and by whom was the data collected?",
            "Does it show people? Did they agree?",
            "Does it have content that offends, or that identifies a person?",
            "What should it not be used for?")) {
      text.append("- ").append(question).append('\n');
    }
    return text.toString();
  }
}
