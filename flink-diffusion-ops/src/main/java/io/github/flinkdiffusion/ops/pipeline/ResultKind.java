package io.github.flinkdiffusion.ops.pipeline;

/** What a pipeline's pictures are. */
public enum ResultKind {
  /** A picture to look at; if it was made from one, in that one's colors. */
  PICTURE,
  /** Where something is: each channel from 0, outside, to 1, inside. */
  MASK
}
