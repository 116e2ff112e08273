/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.torchscript;

import org.apache.flink.annotation.Internal;

/** How an archive computes convolutions. */
@Internal
public enum Convolutions {
  /** As the library does. */
  LIBRARY,
  /**
   * As x86 processors best compute them in float32. Those of many channels over few pixels are one
   * product of matrices for all rows of a call: the library brings such layers' weights into its
   * own order at every call, or reads them once for every row; either takes longer than the
   * arithmetic. In networks that are mostly convolutions, what they work on is kept with its
   * channels last, in which the library need not reorder it before and after each; transformers
   * would have to.
   */
  FOR_X86_FLOAT32
}
