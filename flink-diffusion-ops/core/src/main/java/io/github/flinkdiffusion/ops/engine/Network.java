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
   * Calls a method that returns one float32 tensor, and brings it to the heap.
   *
   * @param inputs the method's arguments, in order; those on a device are of this engine
   * @throws DeviceMemoryException when a smaller batch may succeed
   * @throws EngineException when the library refuses, e.g. shapes that do not fit
   */
  HostTensor.Floats call(String method, Tensor... inputs);

  /**
   * Calls a method and leaves its results on the device, in the dtypes they have there. The caller
   * closes them; closing the network does so too.
   *
   * @return the method's results, in the graph's order
   * @throws EngineException as {@link #call}
   */
  List<DeviceTensor> callOnDevice(String method, Tensor... inputs);

  /** Frees the network's native memory, once; further calls fail. */
  @Override
  void close();
}
