/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import org.apache.flink.annotation.Internal;

/** What a pipeline's pictures are. */
@Internal
public enum ResultKind {
  /** A picture to look at; if it was made from one, in that one's colors. */
  PICTURE,
  /** Which class each pixel is of, as a {@link ClassMap} says; of two classes, a mask. */
  MASK,
  /**
   * How far away each pixel is, or how near: one channel, 0 to 1 of a range that the model does not
   * know unless it says so.
   */
  DEPTH,
  /**
   * Which way each pixel's surface looks: a unit vector to the right, up and towards the viewer,
   * whose numbers from -1 to 1 are written as 0 to 1.
   */
  NORMALS,
  /** The picture itself with boxes drawn around objects, in colors that {@link BoxStyle} names. */
  BOXES,
  /** No picture: a text, such as a caption or an answer. */
  TEXT
}
