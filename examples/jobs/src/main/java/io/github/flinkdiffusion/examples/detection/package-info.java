/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * The embedded model {@code mini-detect}, which finds things in small scenes: the scenes that it
 * learns from, and how its boxes are measured. Training is {@code examples/train} with a recipe.
 *
 * <pre>{@code
 * SceneDrawing drawing = SceneDrawing.open(List.of(Path.of("noto/package/icons.json")));
 * DrawnScene scene = drawing.scene(Batches.random(1, 0));
 * scene.things().get(0).label();
 * }</pre>
 *
 * <p>These are internals of the examples, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.examples.detection;
