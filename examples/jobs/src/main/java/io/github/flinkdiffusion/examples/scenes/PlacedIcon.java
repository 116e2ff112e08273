/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.scenes;

import java.awt.image.BufferedImage;

/**
 * An icon in a scene.
 *
 * @param drawing a transparent square
 * @param left of the square, in pixels of the scene; may be negative
 * @param top of the square, in pixels of the scene; may be negative
 * @param side of the square, in pixels of the scene
 */
record PlacedIcon(BufferedImage drawing, double left, double top, double side) {}
