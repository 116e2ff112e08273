/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;

/**
 * What one request's part of a network call is conditioned on.
 *
 * @param rows one for each row of a call
 * @param guidance makes one prediction of the rows' outputs
 * @param truncated whether a text was longer than the tokenizer's limit
 * @param earlier conditions of the first calls, in order, where the texts change on the way
 */
record Conditions(List<Row> rows, Guidance guidance, boolean truncated, List<Earlier> earlier) {

  /**
   * @param until the last call with these conditions, counted from 0
   */
  record Earlier(int until, Conditions conditions) {
    private Earlier with(UnaryOperator<Conditions> change) {
      return new Earlier(until, change.apply(conditions));
    }
  }

  Conditions {
    rows = List.copyOf(rows);
    earlier = List.copyOf(earlier);
    Objects.requireNonNull(guidance, "guidance");
    if (rows.size() != guidance.rows()) {
      throw new IllegalArgumentException(
          "%d rows for %s, which combines %d".formatted(rows.size(), guidance, guidance.rows()));
    }
  }

  /** The same at each call. */
  Conditions(List<Row> rows, Guidance guidance, boolean truncated) {
    this(rows, guidance, truncated, List.of());
  }

  /** Those of a call. */
  Conditions at(int call) {
    for (Earlier each : earlier) {
      if (call <= each.until()) {
        return each.conditions();
      }
    }
    return this;
  }

  /** The calls that are the first ones with other conditions than the call before. */
  IntStream changes() {
    return earlier.stream().mapToInt(each -> each.until() + 1);
  }

  private List<Earlier> earlier(UnaryOperator<Conditions> change) {
    return earlier.stream().map(each -> each.with(change)).toList();
  }

  /** One row without a text, whose output is the prediction. */
  static Conditions of(Row row) {
    return new Conditions(List.of(row), Guidance.NONE, false);
  }

  /**
   * Two rows without a text, the unconditional one first; with a scale up to 1 the conditional one
   * alone.
   */
  static Conditions classifierFree(double scale, Row unconditional, Row conditional) {
    return scale > 1
        ? new Conditions(List.of(unconditional, conditional), Guidance.classifierFree(scale), false)
        : of(conditional);
  }

  /** The row that is led to. */
  Row conditional() {
    return rows.get(guidance.conditional());
  }

  /** Without guidance: the conditional row, whose output is the prediction. */
  Conditions conditionalAlone() {
    return new Conditions(List.of(conditional()), guidance.off(), truncated);
  }

  /** These with channels appended to the sample, the same in each row. */
  Conditions with(float[] appended) {
    return withRows(row -> row.with(appended));
  }

  /** These, truncated where the others are, too. */
  Conditions truncatedAs(Conditions others) {
    return new Conditions(rows, guidance, truncated || others.truncated, earlier);
  }

  Conditions withRows(UnaryOperator<Row> change) {
    return new Conditions(
        rows.stream().map(change).toList(),
        guidance,
        truncated,
        earlier(each -> each.withRows(change)));
  }

  /**
   * As {@link #withRows(UnaryOperator)}, with another change for the unconditional row, which is
   * the first of several.
   */
  Conditions withRows(UnaryOperator<Row> unconditional, UnaryOperator<Row> change) {
    List<Row> changed = new ArrayList<>();
    for (int i = 0; i < rows.size(); i++) {
      changed.add((i == 0 && rows.size() > 1 ? unconditional : change).apply(rows.get(i)));
    }
    return new Conditions(
        changed, guidance, truncated, earlier(each -> each.withRows(unconditional, change)));
  }

  /** These with one row more, made of the one that is led to, and a rule for it. */
  Conditions andRow(UnaryOperator<Row> row, UnaryOperator<Guidance> change) {
    List<Row> more = new ArrayList<>(rows);
    more.add(row.apply(conditional()));
    return new Conditions(
        more, change.apply(guidance), truncated, earlier(each -> each.andRow(row, change)));
  }

  Conditions withGuidance(UnaryOperator<Guidance> change) {
    return new Conditions(
        rows, change.apply(guidance), truncated, earlier(each -> each.withGuidance(change)));
  }
}
