/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.imaging.Audit;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What a replay has found, as the table that its user reads. */
final class ReplayReport {
  private static final int DIGEST_SHOWN = 12;

  private record Line(String what, String recorded, String here, boolean same) {}

  private final String name;
  private final Audit audit;
  private final List<Line> lines = new ArrayList<>();

  ReplayReport(String name, Audit audit) {
    this.name = name;
    this.audit = audit;
  }

  /** The beginning of a digest, enough for people. */
  static String brief(String digest) {
    return digest.length() <= DIGEST_SHOWN ? digest : digest.substring(0, DIGEST_SHOWN);
  }

  /**
   * Notes what the record says and what is here.
   *
   * @return whether they are the same
   */
  boolean check(String what, String recorded, String here, boolean same) {
    lines.add(new Line(what, recorded, here, same));
    return same;
  }

  boolean check(String what, String recorded, String here) {
    return check(what, recorded, here, recorded.equals(here));
  }

  /** The result, its request and the checks. */
  String head() {
    int what = width("what", lines.stream().map(Line::what).toList());
    int recorded = width("recorded", lines.stream().map(Line::recorded).toList());
    int here = width("here", lines.stream().map(Line::here).toList());
    String format = "  %-" + what + "s  %-" + recorded + "s  %-" + here + "s  %s%n";
    StringBuilder text = new StringBuilder(name + "\n");
    text.append(
        String.format(
            Locale.ROOT,
            "  %s, %s of %s, seed %d%n%n",
            audit.task(),
            Count.of(audit.steps(), "step"),
            audit.scheduler(),
            audit.seed()));
    text.append(String.format(Locale.ROOT, format, "", "recorded", "here", "").stripTrailing());
    text.append('\n');
    for (Line line : lines) {
      text.append(
          String.format(
              Locale.ROOT,
              format,
              line.what,
              line.recorded,
              line.here,
              line.same ? "same" : "OTHER"));
    }
    return text.append('\n').toString();
  }

  private static int width(String head, List<String> texts) {
    return Math.max(head.length(), texts.stream().mapToInt(String::length).max().orElse(0));
  }

  /**
   * What the comparison has shown.
   *
   * @param otherParameters how the request that was made differs from the recorded one
   */
  static String outcome(Comparison comparison, Duration took, List<String> otherParameters) {
    StringBuilder text = new StringBuilder();
    line(text, "made again in", "%.1f s", took.toMillis() / 1000.0);
    otherParameters.forEach(other -> line(text, "OTHER parameter", "%s", other));
    line(text, "files", comparison.sameFile() ? "identical" : "not identical");
    if (!comparison.sameSize()) {
      line(text, "pixels", "of another size");
    } else if (comparison.largestDifference() == 0) {
      line(text, "pixels", "equal");
    } else {
      line(text, "PSNR", "%.2f dB", comparison.psnr());
      line(
          text,
          "largest difference",
          "%.5f of the range from black to white; %d of %d values differ",
          comparison.largestDifference(),
          comparison.differing(),
          comparison.values());
    }
    return text.append('\n').toString();
  }

  private static void line(StringBuilder text, String what, String format, Object... values) {
    text.append(String.format(Locale.ROOT, "  %-18s  ", what))
        .append(String.format(Locale.ROOT, format, values))
        .append('\n');
  }

  static String verdict(Comparison.Verdict verdict, double tolerance) {
    return verdict
        + switch (verdict) {
          case IDENTICAL -> ": the result made again is the same file.";
          case EQUAL -> ": all pixels are equal; the files differ in texts or encoding.";
          case CLOSE ->
              String.format(
                  Locale.ROOT, ": no value differs by more than %s, which is rounding.", tolerance);
          case DIFFERENT -> ": the result is not what its record says.";
        };
  }
}
