/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.Map;
import org.apache.flink.annotation.Internal;

/**
 * Weights to go on training from: those of an earlier model wherever name and shape are the same,
 * fresh ones elsewhere. So a network whose sizes were changed in one place keeps what it learned in
 * the others.
 *
 * @param earlier stores by the prefix that their tensors have in the graph, e.g. {@code unet.}
 * @param fresh for tensors that no store has
 */
@Internal
public record WarmStart(Map<String, TensorStore> earlier, ParameterSource fresh)
    implements ParameterSource {
  public WarmStart {
    earlier = Map.copyOf(earlier);
  }

  @Override
  public void write(String name, long[] shape, OutputStream out) throws IOException {
    for (Map.Entry<String, TensorStore> entry : earlier.entrySet()) {
      if (name.startsWith(entry.getKey())) {
        String stored = name.substring(entry.getKey().length());
        TensorStore store = entry.getValue();
        if (store.contains(stored) && Arrays.equals(store.info(stored).shape(), shape)) {
          store.writeTo(stored, DType.F32, out);
          return;
        }
      }
    }
    fresh.write(name, shape, out);
  }
}
