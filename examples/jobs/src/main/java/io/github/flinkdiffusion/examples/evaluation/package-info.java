/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Reports on a model: its images of a plan's prompts, drawn by the Flink operator, what a reader of
 * attributes sees in them, and measures with intervals. {@link
 * io.github.flinkdiffusion.examples.evaluation.BiasReport} asks how attributes are spread that no
 * prompt names.
 *
 * <pre>{@code
 * BiasPlan plan = BiasPlan.read(Path.of("examples/evaluations/bias-mini-emoji.yaml"));
 * new BiasReport(plan, Optional.of(drawings)).write(Path.of("out"));
 * }</pre>
 *
 * <p>These are internals of the examples, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.examples.evaluation;
