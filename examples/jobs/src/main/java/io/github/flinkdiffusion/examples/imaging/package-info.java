/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
/**
 * The embedded image models: what they learn from, their training and their evaluation. {@code
 * mini-satellite-x4} enlarges satellite pictures, {@code mini-brain-mask} finds the brain in slices
 * of a head; whole regions and slices are held out, so that it can be seen whether they have
 * learned. Nothing here is needed to run a model.
 *
 * <pre>{@code
 * BlueMarble globe = BlueMarble.open(Path.of("package/example/img/earth-blue-marble.jpg"));
 * for (BlueMarble.Region region : BlueMarble.HELD_OUT) {
 *   compare(upscaled(globe.seen(region)), globe.truth(region));
 * }
 * }</pre>
 *
 * <p>These are internals of the examples, not public API: they may change in any version.
 */
package io.github.flinkdiffusion.examples.imaging;
