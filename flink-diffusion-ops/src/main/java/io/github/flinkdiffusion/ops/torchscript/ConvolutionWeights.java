package io.github.flinkdiffusion.ops.torchscript;

/** How an archive keeps the weights of its convolutions. */
public enum ConvolutionWeights {
  /** As checkpoints have them; the library brings them into its own order at every call. */
  AS_STORED,
  /**
   * Those of large layers are brought into oneDNN's order once, by the method that {@link
   * ArchiveWriter#preparation} names; for float32 on x86 processors. That order's price at every
   * call is that of the weights alone, so it is most of a call with few rows of small latents.
   */
  PACKED
}
