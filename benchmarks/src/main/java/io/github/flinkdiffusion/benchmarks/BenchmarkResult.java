/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import java.util.ArrayList;
import java.util.List;

/**
 * All that one run of a benchmark found: what a file in {@code benchmarks/results} holds.
 *
 * @param benchmark name of the program, and of the file
 * @param title of the report's section
 * @param method what was measured and how, for a reader who has not seen the program
 * @param run where, when and by which command
 * @param measurements the numbers
 * @param findings what follows
 * @param plots pictures of the numbers
 * @param notes what a reader must know: which peer was missing and why, what was odd
 */
public record BenchmarkResult(
    String benchmark,
    String title,
    String method,
    RunInfo run,
    List<Measurement> measurements,
    List<Finding> findings,
    List<Plot> plots,
    List<String> notes) {
  public BenchmarkResult {
    measurements = List.copyOf(measurements);
    findings = List.copyOf(findings);
    plots = List.copyOf(plots);
    notes = List.copyOf(notes);
  }

  /** Collects what a program finds while it runs. */
  public static final class Builder {
    private final String title;
    private final String method;
    private final List<Measurement> measurements = new ArrayList<>();
    private final List<Finding> findings = new ArrayList<>();
    private final List<Plot> plots = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();

    /**
     * @param title of the report's section
     * @param method what is measured and how
     */
    public Builder(String title, String method) {
      this.title = title;
      this.method = method;
    }

    public Builder add(Measurement measurement) {
      measurements.add(measurement);
      return this;
    }

    public Builder add(Finding finding) {
      findings.add(finding);
      return this;
    }

    public Builder add(Plot plot) {
      plots.add(plot);
      return this;
    }

    public Builder note(String note) {
      notes.add(note);
      return this;
    }

    BenchmarkResult build(String benchmark, RunInfo run) {
      return new BenchmarkResult(
          benchmark, title, method, run, measurements, findings, plots, notes);
    }
  }
}
