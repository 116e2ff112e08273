/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import java.nio.file.Path;

/**
 * A function of a network that measures, whose weights a call names. It is loaded at the first
 * call, once for each subtask, runs on the CPU, and is exchanged if a call names other weights.
 * Weights that cannot be loaded fail the job: no row can be measured then.
 *
 * @param <N> the network
 */
abstract class NetworkFunction<N extends AutoCloseable> extends PlainFunction {
  private static final long serialVersionUID = 1L;

  private transient String loaded;
  private transient N network;

  NetworkFunction(String name, boolean failing) {
    super(name, failing);
  }

  abstract N load(Path weights);

  final N network(String weights) {
    if (!weights.equals(loaded)) {
      free();
      network = load(Path.of(weights));
      loaded = weights;
    }
    return network;
  }

  private void free() {
    if (network != null) {
      try {
        network.close();
      } catch (RuntimeException e) {
        throw e;
      } catch (Exception e) {
        throw new IllegalStateException(e);
      } finally {
        network = null;
        loaded = null;
      }
    }
  }

  @Override
  public void close() {
    free();
  }
}
