/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** A result's numbers as Markdown tables. */
final class Tables {
  private static final MathContext DIGITS = new MathContext(3);
  private static final double WHOLE_FROM = 100;

  private record Row(String scenario, String unit) {}

  private Tables() {}

  static String markdown(BenchmarkResult result) {
    StringBuilder text = new StringBuilder();
    if (!result.measurements().isEmpty()) {
      measurements(result, text);
    }
    if (!result.findings().isEmpty()) {
      findings(result, text);
    }
    return text.toString();
  }

  private static void measurements(BenchmarkResult result, StringBuilder text) {
    Map<Row, Map<String, Measurement>> rows = new LinkedHashMap<>();
    for (Measurement each : result.measurements()) {
      rows.computeIfAbsent(new Row(each.scenario(), each.unit()), row -> new LinkedHashMap<>())
          .put(each.subject(), each);
    }
    // Rows of other subjects would be half empty in one table.
    Map<Set<String>, Map<Row, Map<String, Measurement>>> tables = new LinkedHashMap<>();
    rows.forEach(
        (row, cells) ->
            tables
                .computeIfAbsent(Set.copyOf(cells.keySet()), subjects -> new LinkedHashMap<>())
                .put(row, cells));
    tables.values().forEach(table -> table(table, text));
  }

  private static void table(Map<Row, Map<String, Measurement>> rows, StringBuilder text) {
    Set<String> subjects = rows.values().iterator().next().keySet();
    text.append("| | unit | ").append(String.join(" | ", subjects)).append(" |\n");
    text.append("| --- | --- |").append(" --- |".repeat(subjects.size())).append('\n');
    rows.forEach(
        (row, cells) -> {
          text.append("| ").append(row.scenario()).append(" | ").append(row.unit()).append(" |");
          for (String subject : subjects) {
            text.append(' ').append(cell(cells.get(subject).summary())).append(" |");
          }
          text.append('\n');
        });
    text.append('\n');
  }

  private static void findings(BenchmarkResult result, StringBuilder text) {
    text.append("| | what | found | goal | |\n| --- | --- | --- | --- | --- |\n");
    result.findings().forEach(each -> text.append("| ").append(finding(each)));
    text.append('\n');
  }

  /** What has a goal, of all results; each leads to its section. */
  static String goals(List<BenchmarkResult> results) {
    StringBuilder text =
        new StringBuilder(
            "| benchmark | | what | found | goal | |\n| --- | --- | --- | --- | --- | --- |\n");
    for (BenchmarkResult result : results) {
      for (Finding each : result.findings()) {
        if (each.goal() != null) {
          text.append(
              "| [%s](#%s) | %s".formatted(result.benchmark(), anchor(result), finding(each)));
        }
      }
    }
    return text.append('\n').toString();
  }

  /** As GitHub makes them of headings. */
  private static String anchor(BenchmarkResult result) {
    return result
        .title()
        .toLowerCase(Locale.ROOT)
        .replaceAll("[^\\p{Alnum} _-]", "")
        .replace(' ', '-');
  }

  private static String finding(Finding each) {
    String unit = each.unit().equals("x") ? "x" : " " + each.unit();
    return "%s | %s | **%s%s**%s | %s | %s |%n"
        .formatted(
            each.scenario(),
            each.what(),
            number(each.value()),
            unit,
            spread(each.least(), each.greatest()),
            each.goal() == null ? "" : goal(each.goal()) + unit,
            each.goal() == null ? "" : each.goal().isMetBy(each.value()) ? "met" : "**not met**");
  }

  private static String goal(Goal goal) {
    return (goal.side() == Goal.Side.AT_LEAST ? ">= " : "<= ") + number(goal.limit());
  }

  private static String cell(Summary summary) {
    return number(summary.median()) + spread(summary.least(), summary.greatest());
  }

  private static String spread(double least, double greatest) {
    return least == greatest ? "" : " (%s to %s)".formatted(number(least), number(greatest));
  }

  /** Three digits that count, and no more digits before the point than there are. */
  static String number(double value) {
    if (!Double.isFinite(value)) {
      return Double.toString(value);
    }
    if (Math.abs(value) >= WHOLE_FROM) {
      return "%,d".formatted(Math.round(value));
    }
    return new BigDecimal(value).round(DIGITS).stripTrailingZeros().toPlainString();
  }
}
