package io.github.flinkdiffusion.benchmarks;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
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
    Set<String> subjects = new LinkedHashSet<>();
    Map<Row, Map<String, Measurement>> rows = new LinkedHashMap<>();
    for (Measurement each : result.measurements()) {
      subjects.add(each.subject());
      rows.computeIfAbsent(new Row(each.scenario(), each.unit()), row -> new LinkedHashMap<>())
          .put(each.subject(), each);
    }
    text.append("| | unit | ").append(String.join(" | ", subjects)).append(" |\n");
    text.append("| --- | --- |").append(" --- |".repeat(subjects.size())).append('\n');
    rows.forEach(
        (row, cells) -> {
          text.append("| ").append(row.scenario()).append(" | ").append(row.unit()).append(" |");
          for (String subject : subjects) {
            Measurement cell = cells.get(subject);
            text.append(' ').append(cell == null ? "" : cell(cell.summary())).append(" |");
          }
          text.append('\n');
        });
    text.append('\n');
  }

  private static void findings(BenchmarkResult result, StringBuilder text) {
    text.append("| | what | found | goal | |\n| --- | --- | --- | --- | --- |\n");
    for (Finding each : result.findings()) {
      String unit = each.unit().equals("x") ? "x" : " " + each.unit();
      text.append(
          "| %s | %s | **%s%s** (%s to %s) | %s | %s |%n"
              .formatted(
                  each.scenario(),
                  each.what(),
                  number(each.value()),
                  unit,
                  number(each.least()),
                  number(each.greatest()),
                  each.goal() == null ? "" : goal(each.goal()) + unit,
                  each.goal() == null
                      ? ""
                      : each.goal().isMetBy(each.value()) ? "met" : "**not met**"));
    }
    text.append('\n');
  }

  private static String goal(Goal goal) {
    return (goal.side() == Goal.Side.AT_LEAST ? ">= " : "<= ") + number(goal.limit());
  }

  private static String cell(Summary summary) {
    return "%s (%s to %s)"
        .formatted(number(summary.median()), number(summary.least()), number(summary.greatest()));
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
