package io.github.flinkdiffusion.ops.torchscript;

/** How an archive computes convolutions. */
public enum Convolutions {
  /** As the library does. */
  LIBRARY,
  /**
   * Those of many channels over few pixels as one product of matrices for all rows of a call, for
   * float32 on x86 processors. The library brings such layers' weights into its own order at every
   * call, or reads them once for every row; either takes longer than the arithmetic.
   */
  FEW_PIXELS_AS_PRODUCTS
}
