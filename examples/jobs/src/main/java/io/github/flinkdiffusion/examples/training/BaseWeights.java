/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.ops.graph.ParameterSource;
import io.github.flinkdiffusion.ops.training.WarmStart;
import io.github.flinkdiffusion.ops.training.WeightInitializer;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import java.io.IOException;
import java.io.OutputStream;
import java.util.LinkedHashMap;
import java.util.Map;

/** Weights of a model folder's components; fresh ones of components that have none. */
final class BaseWeights implements ParameterSource, AutoCloseable {
  private final Map<String, TensorStore> stores = new LinkedHashMap<>();
  private final ParameterSource source;

  /**
   * @param prefixes of the graph's names, by component
   */
  BaseWeights(ModelFolder base, Map<String, String> prefixes, long seed) {
    Map<String, TensorStore> byPrefix = new LinkedHashMap<>();
    prefixes.forEach(
        (component, prefix) -> {
          if (!base.component(component).weightFiles().isEmpty()) {
            TensorStore store = base.component(component).open();
            stores.put(component, store);
            byPrefix.put(prefix, store);
          }
        });
    ParameterSource fresh =
        new WeightInitializer(seed, name -> name.matches("(unet\\.)?conv_out\\..*"));
    this.source = new WarmStart(byPrefix, fresh);
  }

  @Override
  public void write(String name, long[] shape, OutputStream out) throws IOException {
    source.write(name, shape, out);
  }

  @Override
  public void close() {
    stores.values().forEach(TensorStore::close);
  }
}
