/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.engine;

import java.util.List;
import org.apache.flink.annotation.Internal;

/**
 * A network on a device, ready to be called for inference.
 *
 * <p>Calls may come from any thread, one at a time. Shapes may differ from call to call, within
 * what the graph's operations take. Native memory is freed by {@link #close()}.
 */
@Internal
public interface Network extends AutoCloseable {
  /**
   * Calls a method and brings its first result, a float32 tensor, to the heap.
   *
   * @param inputs the method's arguments, in order; those on a device are of this engine
   * @throws DeviceMemoryException when a smaller batch may succeed
   * @throws EngineException when the library refuses, e.g. shapes that do not fit
   */
  HostTensor.Floats call(String method, Tensor... inputs);

  /**
   * What a call has computed.
   *
   * @param result the method's first result
   * @param rows each row of its second result, [1,...], on the device
   */
  record Kept(HostTensor.Floats result, List<DeviceTensor> rows) {}

  /**
   * Calls a method of two results and leaves the second one on the device, as a tensor for each of
   * its rows, so that a later call may take any of them ({@link StackedTensor}). The caller closes
   * them; closing the network does so too.
   *
   * @throws EngineException as {@link #call}
   */
  Kept callKeepingRows(String method, Tensor... inputs);

  /** Frees the network's native memory, once; further calls fail. */
  @Override
  void close();
}
