/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Measures this project side by side with what a user would pick instead, as programs that anyone
 * can repeat.
 *
 * <p>A benchmark is a {@link io.github.flinkdiffusion.benchmarks.BenchmarkCommand}: it measures
 * subjects in turn ({@link io.github.flinkdiffusion.benchmarks.Rounds}), states ratios and goals
 * ({@link io.github.flinkdiffusion.benchmarks.Finding}) and leaves a JSON file; {@code report}
 * makes a page of all of them. With {@code --smoke} each runs in seconds, which the build does so
 * that none rots.
 *
 * <pre>{@code
 * Map<String, Measurement> both =
 *     options().rounds().alternate("batch 8", "s", Map.of("ours", ..., "diffusers", ...));
 * result.add(Finding.speed(both.get("ours"), both.get("diffusers"), Goal.atLeast(1.2)));
 * }</pre>
 *
 * <p>These are internals of benchmarks, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.benchmarks;
