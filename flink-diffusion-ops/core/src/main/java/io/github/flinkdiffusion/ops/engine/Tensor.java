/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import org.apache.flink.annotation.Internal;

/** What a network's method takes and gives: numbers on the heap or on an engine's device. */
@Internal
public sealed interface Tensor permits HostTensor, DeviceTensor, StackedTensor {
  /** Sizes of the dimensions, outermost first; the caller's own copy or never written to. */
  long[] shape();
}
