/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * Image tasks without Flink: what an image becomes for a model, the parts of it that are worked on
 * one by one (tiles, samples of an ensemble), and the pictures that come of the parts' results.
 * Large images are read and written by parts, so memory holds some tiles, never the image.
 *
 * <pre>{@code
 * Scene scene = Scene.open(file, ReadOptions.DEFAULT, 1L << 30);
 * TaskPlan plan = TaskPlan.tiled(scene.width(), scene.height(), 4, 1, 64, 16, 8);
 * for (int part = 0; part < plan.size(); part++) {
 *   samples.add(model(plan.read(scene, plan.tileOf(part)), seed + plan.sampleOf(part)));
 * }
 * Composition result = Composition.compose(order, tile -> Ensemble.of(samplesOf(tile)).stacked());
 * }</pre>
 */
package io.github.flinkdiffusion.ops.imaging;
